"""Nights without a scheduler: each one that is due is scored, judged, measured and decided, and what follows is done.

The steps are those of the nightly DAG, in its order: drift and page, shadows, performance, review, decision, retraining.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from typing import TypeVar

from drift.decide import conclude
from drift.measure import alarm_of, measure
from drift.night_runs import last_night, missing_nights
from drift.report import prune_reports, reported, runs_to_report, write_report
from drift.watch import DriftResult, watch
from lifecycle.retraining import RetrainingRequest, end, resume, retrain
from lifecycle.shadow import review, shadow_run
from scoring.errors import AlertNotSent, EmptyNight, NightHeld, NightshiftError, NoSuchNight, described
from scoring.interval import Nights
from scoring.job import deadline_in_words
from scoring.night import NightRequest, run_night
from scoring.progress import Progress, silent
from scoring.stores import Workspace
from scoring.stores.warehouse import (
    Decided,
    Retraining,
    Run,
    Span,
    abandon_dead,
    ledger,
    monitoring,
    overview,
    promotions,
    retrainings,
)
from scoring.upkeep import Alert, Kind, late, send

BY = "nightshift"
ORIGIN = "scheduled"
"""Origin of the runs: their nights are decided as those of a scheduler are."""
LOOKED_AT = 30
"""Nights, the last ones, that may be due. Older ones are scored by name, with `run`."""
LEFT_ALONE = ("held", "discarded", "unpublished", "running")
"""Status of a night's last attempt that leaves the night to the person, or to the process, that has it in hand."""
Result = TypeVar("Result")


@dataclass
class NightLived:
    """What became of a night that was due."""

    night: date
    status: str = "failed"
    """``published``, ``superseded``, ``held``, ``skipped``, ``failed``, or ``retraining`` for one that waited and ended."""
    rows: int | None = None
    verdict: str | None = None
    decision: str | None = None
    notes: list[str] = field(default_factory=list)
    """What there is to tell: reasons of the verdict and the decision, how a retraining ended."""
    problems: list[str] = field(default_factory=list)
    """What failed, step by step. The publication stands."""

    @property
    def went_wrong(self) -> bool:
        """Return whether somebody has to look."""
        return self.status in ("held", "failed") or bool(self.problems)


def due_nights(work: Workspace) -> list[date]:
    """Return the missing ones of the last 30 nights, oldest first, but for those that somebody has in hand.

    These are held, discarded and unpublished nights, and those that are being scored; a run that nobody works on any more
    is recorded as abandoned first. Without a champion none is due.
    """
    abandon_dead(work.warehouse, work.clock(), work.job.name)
    if not promotions.history_of(work.warehouse, work.job.name):
        return []
    nights = Nights.up_to(last_night(work), LOOKED_AT)
    tried = overview.nights(work.warehouse, Span(work.job.name, nights))
    in_hand = {row.night for row in tried if row.newest_status in LEFT_ALONE}
    missing = missing_nights(work, None, None, championed=True)
    return [night for night in missing if night in nights and night not in in_hand]


def unfinished_runs(work: Workspace) -> list[Run]:
    """Return the published runs of the last 30 nights that lack a decision, or the retraining that was decided.

    A process that was ended leaves them behind, and a step that failed.
    """
    span = Span(work.job.name, Nights.up_to(last_night(work), LOOKED_AT))
    decisions = monitoring.decisions(work.warehouse, span)
    decided = {row.run_id for row in decisions if row.decision != "retrain" or row.retraining is not None}
    open_ids = [row.run_id for row in overview.nights(work.warehouse, span) if row.run_id not in decided]
    runs = [ledger.get(work.warehouse, run_id) for run_id in open_ids]
    return [run for run in runs if (run.status, run.origin, run.airflow_run_id) == ("published", ORIGIN, None)]


def nightly(work: Workspace, progress: Progress = silent) -> Iterator[NightLived]:
    """Yield what became of each night that is due, oldest first. One that is held or fails says why, the others go on.

    First what an earlier call left undone is finished, and retrainings that waited go on. At the end the receivers of
    alerts are told of a night that is late.
    """
    for run in unfinished_runs(work):
        yield follow(work, run)
    yield from go_on(work)
    for night in due_nights(work):
        yield live(work, night, progress)
        yield from go_on(work)
    overdue = late(work) if promotions.history_of(work.warehouse, work.job.name) else None
    if overdue is not None:
        tell(work, overdue, "late", f"not published {deadline_in_words(work.job)}")


def live(work: Workspace, night: date, progress: Progress = silent) -> NightLived:
    """Score and publish a night, then do what follows. A held night is judged too."""
    request = NightRequest(night, work.clock(), ORIGIN)
    try:
        run_night(work, request, progress)
    except (EmptyNight, NoSuchNight) as error:
        if isinstance(error, EmptyNight) and work.job.on_empty == "fail":
            return _failed(work, night, error)
        return NightLived(night, "skipped", notes=[described(error)])
    except NightHeld as error:
        lived = NightLived(night, "held", problems=[described(error)])
        tell(work, night, "held", described(error))
        run = ledger.get(work.warehouse, request.run_id)
        judged = _judge(work, run, lived)
        _step(work, lived, "report", lambda: _report(work, run, judged, [], lived))
        return lived
    except NightshiftError as error:
        return _failed(work, night, error)
    return follow(work, ledger.get(work.warehouse, request.run_id))


def _failed(work: Workspace, night: date, error: NightshiftError) -> NightLived:
    tell(work, night, "failed", described(error))
    return NightLived(night, "failed", problems=[described(error)])


def follow(work: Workspace, run: Run) -> NightLived:
    """Judge, measure, review and decide after a published run, and retrain if that is the decision.

    A step that fails is noted; those that need it are left out, and a later call makes up for them.
    """
    lived = NightLived(run.night, run.status, run.rows_loaded)
    judged = _judge(work, run, lived)
    _step(work, lived, "shadow", lambda: shadow_run(work, run.run_id))
    measured = _step(work, lived, "performance", lambda: _measure(work, run.night, lived))
    reviewed = measured is not None and _review(work, lived)
    decided = _step(work, lived, "decide", lambda: conclude(work, run.run_id)) if judged and reviewed else None
    if decided is not None:
        lived.decision = decided.decision
        if decided.decision != "none":
            lived.notes.append(decided.reason)
    _step(work, lived, "report", lambda: _report(work, run, judged, measured or [], lived))
    if decided is not None and decided.decision == "retrain" and decided.retraining is None:
        _retrain(work, lived, decided)
    return lived


def _report(work: Workspace, run: Run, judged: DriftResult | None, measured: list[date], lived: NightLived) -> None:
    """Make the page of each night that was judged or measured, once, and remove old ones."""
    runs = runs_to_report(work, [run.run_id, *judged.again] if judged is not None else [], measured)
    pages = reported(work, runs, write_report)
    prune_reports(work, run.night)
    page, problem = pages.get(run.run_id, (None, None))
    if judged is not None and page is None:
        lived.notes.append(f"no page: {problem}")


def _judge(work: Workspace, run: Run, lived: NightLived) -> DriftResult | None:
    judged = _step(work, lived, "drift", lambda: watch(work, run.run_id))
    if judged is None:
        return None
    lived.verdict = judged.verdict
    lived.notes += judged.reasons
    if judged.verdict == "alert" and not run.provisional:
        tell(work, run.night, "drift", "; ".join(judged.reasons))
    return judged


def _measure(work: Workspace, known_at: date, lived: NightLived) -> list[date]:
    """Measure the nights whose labels have matured, note and tell the last that is an alert, and return those measured."""
    days = measure(work, known_at)
    alarm = alarm_of(work, days, known_at)
    if alarm is not None:
        lived.notes.append(f"performance of night {alarm[0]}: alert; {alarm[1]}")
        tell(work, alarm[0], "performance", alarm[1])
    return days


def _review(work: Workspace, lived: NightLived) -> bool:
    """Judge the versions in the shadow and return whether that could be done."""
    reviewed = _step(work, lived, "review", lambda: review(work, lived.night))
    for result in reviewed or []:
        lived.notes.append(f"version {result.model_version} ({result.role}): {result.state}; {result.detail}")
        if result.rolled_back:
            message = f"version {result.model_version} is champion again: {result.detail}"
            tell(work, lived.night, "rollback", message)
    return reviewed is not None


def _retrain(work: Workspace, lived: NightLived, decided: Decided) -> None:
    request = RetrainingRequest(decided.reason, "decision", decision_id=decided.decision_id, night=decided.night)
    row = _step(work, lived, "retraining", lambda: retrain(work, request), "retraining")
    if row is not None:
        lived.notes.append(_announced(work, row))


def go_on(work: Workspace) -> Iterator[NightLived]:
    """Go on with retrainings that waited for their shadow, end those that waited too long for a person, and yield these."""
    patience = timedelta(hours=work.job.promotion.approval_hours)
    for row in retrainings.of_job(work.warehouse, work.job.name):
        if not row.open or row.airflow_run_id is not None:
            continue
        lived = NightLived(row.night, "retraining")
        if row.stage == "shadow":
            _step(work, lived, "retraining", partial(resume, work, row.retraining_id, BY), "retraining")
        elif row.stage == "approve" and work.clock() - row.started_at > patience:
            end(work.stores, row.retraining_id, "refused", "approval: nobody answered in time")
        after = retrainings.get(work.warehouse, row.retraining_id)
        if not after.open:
            lived.notes.append(_announced(work, after))
        if lived.notes or lived.problems:
            yield lived


def _announced(work: Workspace, row: Retraining) -> str:
    """Tell the receivers of alerts how a retraining ended, or whom it waits for, and return that."""
    detail = row.detail
    if row.stage == "approve":
        detail = f"`nightshift retrain resume {row.job} {row.retraining_id}` says yes"
    sentence = f"retraining {row.retraining_id} {row.state}: {detail or row.stage}"
    if not row.open or row.stage == "approve":
        asked = str(row.retraining_id) if row.open else ""
        tell(work, row.night, "approval" if asked else "retraining", sentence, asked)
    return sentence


def _step(
    work: Workspace, lived: NightLived, name: str, do: Callable[[], Result], kind: Kind = "failed"
) -> Result | None:
    """Do one step and return its result, or note and tell why it failed and return None."""
    try:
        return do()
    except NightshiftError as error:
        lived.problems.append(f"{name}: {described(error)}")
        tell(work, lived.night, kind, lived.problems[-1])
        return None


def tell(work: Workspace, night: date, kind: Kind, message: str, about: str = "") -> None:
    """Send an alert about a night, and ``about`` something beside it. A receiver that refuses it is only logged."""
    link = f"nightshift explain {work.job.name} {night}"
    try:
        send(work.stores, Alert(work.job.name, night, kind, message, link, about))
    except AlertNotSent as error:
        logging.getLogger(__name__).error("%s", error)
