"""What every refit of a history lost on nights that it had not seen: the stretches that the gate pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from drift.performance import losses_of
from lifecycle.backtest.fits import Fits
from lifecycle.backtest.history import Version
from lifecycle.backtest.sums import Sums
from lifecycle.comparison import FOLLOWED_NIGHTS, ORIGINS, Refit, block_of, origins
from scoring.interval import Nights
from scoring.stores.warehouse import Block, NightLoss


@dataclass(frozen=True)
class Origin:
    """A fit on a beginning of a window, made only to learn what refitting gains, and the end of its measured nights."""

    since: int
    until: int
    measured_until: int


@dataclass
class Refits:
    """The refits that are known when a challenger is judged. ``origins`` are those made before, and new ones are added."""

    fits: Fits
    challenger: Version
    origins: list[Origin]

    def known(self, made: Sequence[Version]) -> list[Refit]:
        """Return every refit so far with its losses on the nights before the challenger's training ended."""
        fits, until = self.fits, self.challenger.until
        there = {version: fits.fitted_until(version) for version in made if fits.fitted_until(version) < until}
        if len({*there.values()} | {origin.until for origin in self.origins}) < ORIGINS:
            self._add_origins()
        refits = [self.refit(end, fits.sums(version), until, version.until) for version, end in there.items()]
        for origin in self.origins:
            sums = fits.fitted((origin.since, origin.until), origin.measured_until)
            if sums is not None:
                refits.append(self.refit(origin.until, sums, min(origin.measured_until, until), None))
        return [refit for refit in refits if refit.nights]

    def _add_origins(self) -> None:
        """Add refits made inside the challenger's window."""
        history, challenger = self.fits.history, self.challenger
        window = Nights(history.day(challenger.since), history.day(challenger.until))
        for until in origins(window):
            place = (challenger.since, (until - history.days[0]).days)
            made = Origin(*place, challenger.until)
            if self.fits.fitted(place, made.measured_until) is not None:
                self.origins.append(made)

    def refit(self, until: int, sums: Sums, measured_until: int, version: int | None) -> Refit:
        """Return a fit on the nights before ``until`` with its losses on those after them."""
        history = self.fits.history
        first, last = until + history.horizon, min(until + FOLLOWED_NIGHTS, measured_until)
        return Refit(version, history.day(until), self._losses(sums, np.arange(first, max(first, last))))

    def block(self, until: int, sums: Sums, older: Version, nights: np.ndarray) -> Block | None:
        """Return a fit on the nights before ``until`` against an older version, or None for fewer than two nights."""
        history, fits = self.fits.history, self.fits
        if len(nights) < 2:
            return None
        new = Refit(self.challenger.until, history.day(until), self._losses(sums, nights))
        old = Refit(older.until, history.day(fits.fitted_until(older)), self._losses(fits.sums(older), nights))
        return block_of(new, old, [history.day(int(night)) for night in nights], history.horizon)

    def _losses(self, sums: Sums, nights: np.ndarray) -> dict[date, NightLoss]:
        history = self.fits.history
        rows, loss = sums.losses(history.job)
        groups = None if sums.groups is None else np.stack(losses_of(sums.groups, history.job), axis=1)
        return {
            history.day(night): NightLoss(
                int(rows[night]), float(loss[night]), None if groups is None else groups[night].tolist()
            )
            for night in nights.tolist()
            if rows[night] > 0
        }
