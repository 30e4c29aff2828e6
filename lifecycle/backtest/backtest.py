"""A job's past nights lived again under retraining policies, with the job's own pipeline, gate and rollback."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from lifecycle.backtest.fits import Fits
from lifecycle.backtest.history import read_history
from lifecycle.backtest.life import Policy, Run, lived
from lifecycle.backtest.policies import NEVER, policy_of
from lifecycle.backtest.result import result_of
from lifecycle.training import training_window
from scoring.errors import NightNotOver, TrainingDataError
from scoring.interval import DAY, Nights
from scoring.job import Job
from scoring.progress import Progress, silent
from scoring.stores import Lake, Workspace, no_erasure

FOLDER = "backtests"


@no_erasure
def backtest(
    work: Workspace, nights: Nights, policies: Sequence[Policy], progress: Progress = silent
) -> dict[str, Any]:
    """Return what the nights come to under each policy, and keep it on the lake for the job's page.

    Every model is fitted once; its file stays below the data folder, so a call that was killed goes on where it was.
    Raises ``NightNotOver`` for nights whose labels are not known yet, ``TrainingDataError`` without a first champion.
    """
    _refuse_unknown(work, nights.require("nights"))
    history = read_history(work, nights, progress)
    folder = work.settings.data_dir / FOLDER / work.job.name / history.digest
    fits = Fits(history, folder, progress)
    runs: list[Run] = []
    never = policy_of(NEVER)
    assert never is not None
    for policy in (never, *(policy for policy in policies if policy.name != NEVER)):
        progress(f"policy {policy.name}", 0)
        runs.append(lived(fits, policy, progress=progress))
    result = {**result_of(fits, runs, policies), "made_at": work.clock().isoformat()}
    work.lake.write_json(place_of(work.lake, work.job.name), result)
    return result


def place_of(lake: Lake, job: str) -> str:
    """Return the path of a job's newest backtest."""
    return lake.below(f"{FOLDER}/{job}/backtest.json")


def first_night(job: Job) -> date:
    """Return the first night before which the job's training window is full."""
    day = job.schedule.first_night + timedelta(days=job.training.window_days + job.label.delay_days - 1)
    return max(day, training_window(job, day - DAY).first + DAY)


def _refuse_unknown(work: Workspace, nights: Nights) -> None:
    if not work.job.has_labels:
        raise TrainingDataError(
            f"backtest of {work.job.name}",
            found="a job without a label",
            expected="outcomes: policies are compared by what each would have lost",
            next_step="give the job a label, or do without a backtest",
        )
    delay = work.job.label.delay_days
    matures = nights.last + timedelta(days=delay)
    if not work.stores.over(work.job, matures):
        raise NightNotOver.at(
            f"backtest of {work.job.name} on {nights}",
            work.stores.end_of(work.job, matures),
            found=f"night {nights.last}, whose labels count from the end of night {matures} on (label.delay_days is {delay})",
            next_step="give an earlier --to",
        )
