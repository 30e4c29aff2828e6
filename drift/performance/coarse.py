"""Sums of a night in a small form: all that losses, calibration and the primary metric follow from, without the ROC curve."""

from __future__ import annotations

import numpy as np

from drift.performance.metrics import _RELIABILITY, _ROC, Floats
from scoring.job import Job

LEADING = 5
"""Sums of a binary job before its bins: rows, outcomes, probabilities, log loss, squared error."""


def coarse(sums: Floats, job: Job) -> Floats:
    """Return sums of shape (…, sums) with the bins of a binary job's probability in tenths, shape (…, 25)."""
    if not job.task.has_positive:
        return sums
    positive, chance = (sums[..., LEADING + part * _ROC : LEADING + (part + 1) * _ROC] for part in (0, 2))
    tenths = [bins.reshape(*bins.shape[:-1], _RELIABILITY, -1).sum(axis=-1) for bins in (positive, chance)]
    return np.concatenate([sums[..., :LEADING], *tenths], axis=-1)


def widths(job: Job) -> tuple[int, int]:
    """Return how many sums ``coarse`` and ``leading`` give of a job's rows."""
    if job.task.has_positive:
        return LEADING + 2 * _RELIABILITY, LEADING
    rest = 3 + len(job.outcomes) if job.task.classifies else 4
    return rest, rest


def leading(sums: Floats, job: Job) -> Floats:
    """Return the sums that the primary metric follows from: those before the bins."""
    return sums[..., :LEADING] if job.task.has_positive else sums


def fine(sums: Floats, job: Job) -> Floats:
    """Return what ``coarse`` or ``leading`` gave in the places that ``metrics_of`` has sums in.

    Each tenth stands in its first bin and nothing among the negatives: right for every metric but the area under the ROC
    curve, and of ``leading`` sums for losses, base rate and Brier score.
    """
    if not job.task.has_positive:
        return sums
    full = np.zeros((*sums.shape[:-1], LEADING + 3 * _ROC))
    full[..., :LEADING] = sums[..., :LEADING]
    if sums.shape[-1] > LEADING:
        step, middle = _ROC // _RELIABILITY, LEADING + _RELIABILITY
        full[..., LEADING : LEADING + _ROC : step] = sums[..., LEADING:middle]
        full[..., LEADING + 2 * _ROC :: step] = sums[..., middle:]
    return full
