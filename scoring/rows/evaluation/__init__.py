"""Evaluators: what a fitted pipeline says, computed another way, with the same bits."""

from scoring.rows.evaluation.evaluator import SCIKIT_LEARN, Evaluator, evaluator_of
from scoring.rows.evaluation.proof import difference, same_bits
from scoring.rows.evaluation.unsupported import Unsupported

__all__ = ["SCIKIT_LEARN", "Evaluator", "Unsupported", "difference", "evaluator_of", "same_bits"]
