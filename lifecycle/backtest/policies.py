"""The retraining policies by name, each with the lines of a job file that make a job live so."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from lifecycle.backtest.life import Due, Policy, Trigger
from lifecycle.backtest.triggers import every, governor, monthly, never

NEVER = "never"
UNGATED = "-ungated"
"""Ending of a policy's name that leaves gate and rollback out: every version that is trained becomes champion."""
DEFAULT = (NEVER, "monthly", "weekly", "governor", f"governor{UNGATED}")
"""Policies that are lived unless others are asked for."""
NAMES = f"{NEVER}, every, weekly, monthly, every-N (such as every-15), governor, each but the first also with {UNGATED}"
_SPACED = re.compile(r"every-([1-9]\d{0,2})$")
_ALONE = "retraining:\n  enabled: false\n  schedule: "
"""Settings under which the schedule alone has versions trained."""


def policy_of(name: str) -> Policy | None:
    """Return the policy of a name, or None for a name that stands for none.

    >>> policy_of("every-15").words, policy_of("hourly")
    ('a retraining every 15 nights, gate and rollback', None)
    """
    plain, gated = name.removesuffix(UNGATED), not name.endswith(UNGATED)
    rule = _rule_of(plain)
    if rule is None or (plain == NEVER and not gated):
        return None
    words, trigger, settings = rule
    if plain == NEVER:
        return Policy(name, words, trigger, gated=False, settings=settings)
    ending = "gate and rollback" if gated else "every version becomes champion"
    return Policy(name, f"{words}, {ending}", trigger, gated, settings if gated else None, plain == "governor")


def _rule_of(plain: str) -> tuple[str, Callable[[], Trigger], str] | None:
    """Return words, trigger and settings of a policy without regard to the gate."""
    spaced = _SPACED.match(plain)
    if spaced and int(spaced[1]) > 1:
        nights = int(spaced[1])
        return f"a retraining every {nights} nights", every(nights), _spaced(nights)
    rules: dict[str, tuple[str, Callable[[], Trigger], str]] = {
        NEVER: ("the first champion for ever", never, "retraining:\n  enabled: false"),
        "every": ("a retraining every night", every(1), f'{_ALONE}"0 6 * * *"'),
        "every-1": ("a retraining every night", every(1), f'{_ALONE}"0 6 * * *"'),
        "weekly": ("a retraining every 7 nights", every(7), f'{_ALONE}"0 6 * * 1"'),
        "monthly": ("a retraining at the end of each month", monthly, f'{_ALONE}"0 6 1 * *"'),
        "governor": ("a retraining when the governor says so, with the job's settings", governor(), ""),
    }
    return rules.get(plain)


def _spaced(nights: int) -> str:
    """Return settings under which the governor's age rule fires every so many nights."""
    return (
        f"retraining:\n  max_age_nights: {nights - 1}\n  cooldown_nights: {nights}\n"
        f"  min_new_labelled_nights: {min(nights, 7)}\n  budget: {max(3, -(-30 // nights))}"
    )


def at_nights(nights: Sequence[int]) -> Policy:
    """Return the policy that trains on given nights, without a gate: what a gate's own part in the gain is seen by."""
    listed = frozenset(nights)
    return Policy(
        "same nights, no gate", "", lambda: lambda life: Due("as the other") if life.night in listed else None, False
    )
