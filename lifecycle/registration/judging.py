"""What becomes of a registered version: the first is crowned if it is good enough, a later one is judged by the gate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from lifecycle import promotion
from lifecycle.registration.register import Registered
from lifecycle.retraining import RetrainingRequest, judge_version
from scoring.rows import constant_checks, floor_checks, holdout_metrics
from scoring.stores import Workspace
from scoring.stores.warehouse import Retraining, in_effect, promotions


@dataclass(frozen=True)
class Outcome:
    """How a registration ended."""

    champion_from: date | None = None
    """First night of its reign, for a first version."""
    refused: str | None = None
    """Why a first version is not crowned."""
    retraining: Retraining | None = None
    """The record of the gate's judgement, for a later version."""


def seen_until(work: Workspace, trained_until: date) -> date:
    """Return the first night that neither the model nor the present champion learned from."""
    crowned = in_effect(promotions.history_of(work.warehouse, work.job.name), date.max)
    if crowned is None:
        return trained_until
    seen = work.registry.facts(work.registry.resolve(work.job.name, crowned.model_version)).seen.until
    return max(trained_until, seen)


def judged(work: Workspace, made: Registered, by: str, *, anyway: bool = False) -> Outcome:
    """Return what becomes of a version that was registered.

    The first one is crowned if it reaches ``promotion.floors`` and is no worse than a constant, like a trained one, or
    ``anyway``. A later one passes the gate beside the champion, or not, and the record of a retraining says why.
    """
    history = promotions.history_of(work.warehouse, work.job.name)
    reigns = [entry.effective_from for entry in history if entry.model_version == made.ref.version]
    if reigns:  # the same file was registered before, and promoted
        return Outcome(champion_from=reigns[-1])
    if history:
        reason = f"registered from {(made.facts.registered or {}).get('source')}"
        return Outcome(retraining=judge_version(work, RetrainingRequest(reason), made.ref, made.snapshot))
    checks = floor_checks(holdout_metrics(made.holdout, work.job), work.job.promotion.floors)
    checks += constant_checks(work.job.task.loss, made.facts.constant)
    failed = [check.sentence for check in checks if not check.passed]
    if failed and not anyway:
        work.registry.set_alias(work.job.name, "challenger", made.ref.version)
        return Outcome(refused="; ".join(failed))
    crowned = promotion.promote(work, made.ref.version, "promoted at registration", by)
    return Outcome(champion_from=crowned.effective_from)
