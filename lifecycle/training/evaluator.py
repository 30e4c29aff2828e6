"""Chooses what will score a version's rows: the fastest way that gives the pipeline's own bits."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from time import process_time
from typing import Any

import numpy as np
import pyarrow as pa
from threadpoolctl import ThreadpoolController

from scoring.job import Job
from scoring.rows import Rule, predict
from scoring.rows.evaluation import SCIKIT_LEARN, Evaluator, Unsupported, difference, evaluator_of

PROVEN_ROWS = 100_000
"""Rows of the training data on which both are compared, spread evenly: 100 boosted trees take a CPU second for them."""
TIMED_ROWS = 20_000
LEAST_SPEEDUP = 1.1
"""How many times less CPU an evaluator has to take: below it, a second way to the same bits is not worth having."""
TIMED = 3
"""Times that each is timed, by turns."""


@dataclass(frozen=True)
class Choice:
    """What scores a version's rows, for its facts."""

    evaluator: str
    evaluator_speedup: float | None = None
    """How many times less CPU it takes than scikit-learn."""
    evaluator_reason: str | None = None
    """Why scikit-learn itself scores."""


def chosen_evaluator(pipeline: Any, rows: pa.RecordBatch, job: Job, rule: Rule) -> Choice:
    """Return the evaluator that gives the pipeline's own bits on the rows and on hostile ones, or scikit-learn and the reason."""
    own = copy.deepcopy(pipeline)
    try:
        evaluator = evaluator_of(own, job, rule.block_rows)
        spread = np.linspace(0, rows.num_rows - 1, min(rows.num_rows, PROVEN_ROWS)).astype(int)
        problem = difference(evaluator, own, rows.take(pa.array(spread)), job, rule)
    except Unsupported as error:
        return Choice(SCIKIT_LEARN, None, str(error))
    except Exception as error:  # noqa: BLE001 - whatever fails, scikit-learn itself can score
        return Choice(SCIKIT_LEARN, None, f"{type(error).__name__}: {error}")
    if problem:
        return Choice(SCIKIT_LEARN, None, f"{evaluator.name} refused: {problem}")
    speedup = _speedup(evaluator, own, rows, job, rule)
    if speedup < LEAST_SPEEDUP:
        return Choice(SCIKIT_LEARN, None, f"{evaluator.name} would be only {speedup:.2f} times as fast")
    return Choice(evaluator.name, round(speedup, 2))


def _speedup(evaluator: Evaluator, pipeline: Any, rows: pa.RecordBatch, job: Job, rule: Rule) -> float:
    """Return how many times less CPU the evaluator takes, each with one thread and at its best."""
    batch = rows.take(pa.array(np.resize(np.arange(rows.num_rows), TIMED_ROWS)))
    ways = (None, evaluator)
    best = [float("inf")] * len(ways)
    with ThreadpoolController().select(user_api="openmp").limit(limits=1):
        for _ in range(TIMED):
            for place, way in enumerate(ways):
                began = process_time()
                predict(pipeline, batch, job, rule, way)
                best[place] = min(best[place], process_time() - began)
    return best[0] / max(best[1], 1e-9)
