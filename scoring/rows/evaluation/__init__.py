"""Evaluators: what a fitted pipeline says, computed another way, with the same bits."""

from scoring.rows.evaluation.boosting import tree_of
from scoring.rows.evaluation.cells import Cells, Levels
from scoring.rows.evaluation.evaluator import SCIKIT_LEARN, Evaluator, evaluator_of
from scoring.rows.evaluation.proof import difference, same_bits
from scoring.rows.evaluation.unsupported import Unsupported
from scoring.rows.evaluation.unwrapping import Unwrapped

__all__ = [
    "SCIKIT_LEARN",
    "Cells",
    "Evaluator",
    "Levels",
    "Unsupported",
    "Unwrapped",
    "difference",
    "evaluator_of",
    "same_bits",
    "tree_of",
]
