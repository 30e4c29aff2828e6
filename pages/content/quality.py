"""The verdict on measured performance as the pages show it: the night, and the windows it was judged with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from pages.plots import STATES, State, state_of
from scoring.stores.warehouse import Measured


@dataclass(frozen=True)
class Window:
    """Measured nights of one version against its holdout."""

    nights: int
    value: float
    low: float
    high: float
    confidence: float
    state: State

    @classmethod
    def of(cls, row: Measured, name: str) -> Self | None:
        """Return a window of a measured night, ``night``, ``7`` or ``28``, or None where it was not judged."""
        rise = ((row.judgement or {}).get("windows") or {}).get(name)
        if rise is None:
            return None
        numbers = {part: rise[part] for part in ("nights", "value", "low", "high", "confidence")}
        return cls(**numbers, state=STATES[rise["verdict"]])

    @property
    def percent(self) -> str:
        """Return the confidence of the interval, such as ``99.5 %``."""
        return f"{100 * self.confidence:g} %"


def quality_of(row: Measured) -> State:
    """Return the state of a measured night's performance: its verdict, or that there is none."""
    return state_of("published", row.verdict)
