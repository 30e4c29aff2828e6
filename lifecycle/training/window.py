"""Which nights may be trained on: those whose labels were known, and the gap between those fitted on and those that judge."""

from __future__ import annotations

from datetime import date, timedelta

from scoring.errors import NightError
from scoring.interval import DAY, Nights
from scoring.job import Job


def training_window(job: Job, night: date) -> Nights:
    """Return the window of the job's policy whose labels had all matured at the end of ``night``."""
    until = night + timedelta(days=1 - job.label.delay_days)
    if job.training.window == "expanding":
        return Nights(job.schedule.first_night, until)
    return Nights.before(until, job.training.window_days)


def known_before(job: Job, until: date, since: date | None = None) -> Nights:
    """Return the nights to train on of those before ``until``: the ones whose labels were known when it began.

    ``since`` is the first of them; default: the job's policy. Raises ``NightError`` when there are none.
    """
    window = training_window(job, until - DAY)
    window = window if since is None else Nights(since, window.until)
    if not window:
        raise NightError(
            f"nights to train {job.name} on",
            found=f"first night {window.first}; when {until} began, labels were known of the nights before {window.until}",
            expected=f"a first night before that (label.delay_days is {job.label.delay_days})",
            next_step="train with a later --until, or an earlier --since",
        )
    return window


def left_out(job: Job, window: Nights, until: date) -> str | None:
    """Return a sentence about the nights between a window and ``until``, or None if there are none."""
    late = Nights(window.until, until)
    if not late:
        return None
    nights = f"night {late.first}" if len(late) == 1 else f"the {len(late)} nights {late}"
    return f"left out: {nights}, whose labels were not known when {until} began (label.delay_days is {job.label.delay_days})"


def no_holdout(job: Job, window: Nights, holdout: int) -> str | None:
    """Return a sentence that says how many nights an evaluation needs, or None for a window that has them."""
    gap = job.label.horizon
    needed = 1 + gap + holdout
    if len(window) >= needed:
        return None
    between = f" + {gap} between them (label.horizon_days)" if gap else ""
    parts = f"1 to fit on{between} + {holdout} of training.holdout_nights"
    return f"too few nights (found {len(window)}, expected at least {needed}: {parts})"


def unseen_from(job: Job, seen_until: date) -> date:
    """Return the first night whose outcome overlaps none of the nights before ``seen_until``, which a version was fitted on."""
    return seen_until + timedelta(days=job.label.horizon)
