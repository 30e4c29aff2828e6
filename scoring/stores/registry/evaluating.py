"""The evaluator of a loaded version: built anew, and used only where it still gives the pipeline's own bits."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from scoring.job import Job
from scoring.rows.evaluation import SCIKIT_LEARN, Evaluator, difference, evaluator_of, same_bits
from scoring.stores.registry.facts import TrainingFacts
from scoring.stores.registry.golden import library_versions

_COMPUTES = ("scikit-learn", "numpy", "scipy", "pyarrow")
"""Libraries whose every release may compute otherwise: with others than at training, the whole proof is made again."""


def proven_evaluator(
    pipeline: Any, golden: pa.RecordBatch, facts: TrainingFacts, job: Job
) -> tuple[Evaluator | None, str]:
    """Return the evaluator that was chosen when the version was made, and its name, or None and the reason.

    Versions of before evaluators are scored by scikit-learn. So is one whose evaluator differs on the golden rows, or, with
    other libraries than at training, anywhere in the proof. A night never fails for it.
    """
    if facts.evaluator in (None, SCIKIT_LEARN) or job.evaluator == SCIKIT_LEARN:
        return None, SCIKIT_LEARN
    try:
        evaluator = evaluator_of(pipeline, job, facts.block_rows)
        problem = _problem(evaluator, pipeline, golden, facts, job)
    except Exception as error:  # noqa: BLE001 - whatever it is, the pipeline itself can score
        problem = f"{type(error).__name__}: {error}"
    if problem:
        return None, f"{SCIKIT_LEARN}, not {facts.evaluator}: {problem}"
    return evaluator, evaluator.name


def _problem(evaluator: Evaluator, pipeline: Any, golden: pa.RecordBatch, facts: TrainingFacts, job: Job) -> str | None:
    """Return what speaks against an evaluator, or None."""
    if evaluator.name != facts.evaluator:
        return f"it is {evaluator.name} now"
    rule, now = facts.rule(job), library_versions()
    if not same_bits(evaluator, pipeline, golden, job, rule):
        return "golden rows differ"
    if any(facts.library_versions.get(name) != now[name] for name in _COMPUTES):
        return difference(evaluator, pipeline, golden, job, rule)
    return None
