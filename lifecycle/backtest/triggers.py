"""When a policy trains: at fixed dates, or when the governor says so on the facts that it would have had."""

from __future__ import annotations

from collections.abc import Callable

from drift.governor import decide
from lifecycle.backtest.facts import facts_of
from lifecycle.backtest.life import Due, Life, Trigger
from lifecycle.backtest.watching import Watch


def never() -> Trigger:
    """Return the trigger that never fires."""
    return lambda life: None


def every(nights: int) -> Callable[[], Trigger]:
    """Return a trigger that fires whenever the outcomes of so many more nights are known than the first champion knew."""

    def due(life: Life) -> Due | None:
        new = life.known - life.first.until
        return Due(f"every {nights} nights") if new > 0 and new % nights == 0 else None

    return lambda: due


def monthly() -> Trigger:
    """Return a trigger that fires at the end of each month's last night."""
    return lambda life: Due("end of the month") if life.history.day(life.night + 1).day == 1 else None


def governor(watched: bool = True) -> Callable[[], Trigger]:
    """Return the job's governor, asked every night. Unless ``watched`` no night has drifted."""

    def begin() -> Trigger:
        watch: list[Watch] = []

        def asked(life: Life) -> Due | None:
            if watched and not watch:
                watch.append(Watch(life.fits))
            verdicts = watch[0].verdicts(life.champion, _scored(life)) if watched else []
            facts = facts_of(life, verdicts, watched)
            decision = decide(facts, life.history.job.retraining)
            changed = None if facts.changed_on is None else (facts.changed_on - life.history.days[0]).days
            return Due(decision.reason, changed) if decision.decision == "retrain" else None

        return asked

    return begin


def _scored(life: Life) -> list[int]:
    """Return the nights that the champion scored, tonight included."""
    return [place for place, served in enumerate(life.served, life.begun) if served == life.champion]
