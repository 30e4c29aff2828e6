"""Signs in a sample that a column is known only once the outcome is, or is the outcome under another name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lifecycle.drafting.names_of_columns import holds_name
from lifecycle.drafting.outcome import Outcome
from lifecycle.drafting.reading import Reading

LEAST_ROWS = 50
"""Rows with an outcome below which nothing is said."""
LEAST_UNKNOWN = 10
"""Rows without an outcome from which on it counts where a column is null."""
COPY, SUSPECT = 0.995, 0.95
"""How well one column alone may order the outcomes (AUC, or rank correlation) before it is left out, or pointed at."""
LEVELS = 200
"""Levels up to which a column is tried as a code of the outcome."""
LEFT_ERRORS = 0.03
"""Share of the constant prediction's errors that is left when a column is a code of the outcome."""


@dataclass(frozen=True)
class Leak:
    """A sign, and whether it is so strong that the column is left out."""

    reason: str
    certain: bool


def leak_of(reading: Reading, outcome: Outcome) -> Leak | None:
    """Return the strongest sign that a column tells what is known only with the outcome, or None."""
    codes = outcome.codes
    labelled = ~np.isnan(codes)
    if holds_name(reading.name, outcome.name):
        return Leak(f"LEAK? its name holds the label's, {outcome.name}", True)
    if labelled.sum() < LEAST_ROWS:
        return None
    missing = reading.values.is_null().to_numpy(zero_copy_only=False)
    unknown = ~labelled
    if unknown.sum() >= LEAST_UNKNOWN and _missing_together(missing, unknown):
        share = f"{missing[unknown].mean():.0%} of the rows without an outcome have none"
        return Leak(f"LEAK? known only when the outcome is: {share}", True)
    strength = _strength(reading, codes, labelled, missing, outcome)
    if strength >= COPY:
        return Leak(f"LEAK? it gives the outcome away ({strength:.3f} of 1)", True)
    if strength >= SUSPECT:
        return Leak(f"LOOK: it alone nearly gives the outcome ({strength:.3f} of 1); is it known before?", False)
    return None


def _missing_together(missing: np.ndarray, unknown: np.ndarray) -> bool:
    """Return whether the column is mostly null where there is no outcome, and hardly ever where there is one."""
    without, within = missing[unknown].mean(), missing[~unknown].mean()
    return bool((without >= 0.8 and within <= 0.1) or (without >= 0.5 and within <= 0.02))


def _strength(
    reading: Reading, codes: np.ndarray, labelled: np.ndarray, missing: np.ndarray, outcome: Outcome
) -> float:
    """Return from 0 to 1 how well the column, or where it is null, tells the outcome."""
    if reading.kind in ("int", "float"):
        numbers = pc.cast(reading.values, pa.float64()).to_numpy(zero_copy_only=False)
        both = labelled & ~missing
        ordered = 0.0
        if both.sum() >= LEAST_ROWS:
            ordered = _ordered(numbers[both], codes[both], regression=not outcome.task.classifies)
    else:
        ordered = 0.0
    if not outcome.task.classifies:
        return ordered
    groups = _groups(reading, missing)[labelled]
    return max(ordered, _told(groups, codes[labelled]) if len(np.unique(groups)) <= LEVELS else 0.0)


def _ordered(numbers: np.ndarray, codes: np.ndarray, *, regression: bool) -> float:
    """Return the absolute rank correlation, or the AUC in the better direction of the class that is told best."""
    if len(np.unique(numbers)) < 2 or len(np.unique(codes)) < 2:
        return 0.0
    ranks = _ranks(numbers)
    if regression:
        return abs(float(np.corrcoef(ranks, _ranks(codes))[0, 1]))
    best = 0.0
    for code in np.unique(codes):
        inside = codes == code
        positives, negatives = int(inside.sum()), int((~inside).sum())
        if min(positives, negatives) < 5:
            continue
        auc = (ranks[inside].sum() - positives * (positives - 1) / 2) / (positives * negatives)
        best = max(best, auc, 1 - auc)
    return best


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value from 0 on, equal values with their mean rank.

    >>> _ranks(np.array([5.0, 1.0, 5.0])).tolist()
    [1.5, 0.0, 1.5]
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts + 1) / 2)[places], dtype=np.float64)


def _groups(reading: Reading, missing: np.ndarray) -> np.ndarray:
    """Return a number for the value of each row, -1 for null. Numbers with many values are parted into null or not."""
    if reading.distinct > LEVELS:
        return np.where(missing, -1, 0)
    codes = pc.fill_null(pc.cast(reading.values.dictionary_encode().indices, pa.int64()), -1)
    return np.asarray(codes.to_numpy(zero_copy_only=False))


def _told(groups: np.ndarray, codes: np.ndarray) -> float:
    """Return the share of a constant prediction's errors that the groups save; 0 if the groups are small."""
    names, places = np.unique(groups, return_inverse=True)
    kinds, outcomes = np.unique(codes, return_inverse=True)
    if len(names) < 2 or len(codes) < 20 * len(names):
        return 0.0
    counts = np.zeros((len(names), len(kinds)))
    np.add.at(counts, (places, outcomes), 1)
    errors = len(codes) - counts.sum(axis=0).max()
    left = len(codes) - counts.max(axis=1).sum()
    told = 1 - left / errors if errors >= 5 else 0.0
    return 1.0 if 1 - told <= LEFT_ERRORS else float(told)
