"""Nights of a stream judged one after another: by our verdict as production does, and by the default rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache, cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from bench import default_rules
from bench.default_rules import RULES, Scores, Side
from bench.drift_faults import Fault
from bench.drift_streams import REFERENCE_NIGHTS, Stream, resampled
from drift.verdict import Baseline, Night, Past, Reference, Verdict, judge, roles_of, verdict_on
from scoring.rows import PROFILED_PREDICTION, Profile

HORIZON = 14
_FEW = default_rules.ROWS // REFERENCE_NIGHTS + 1


@dataclass(frozen=True)
class Judged:
    """What was said of one night."""

    night: date
    verdict: Verdict
    rules: dict[str, bool]


@dataclass
class World:
    """A stream at one size of night: ``None`` for the nights' own."""

    stream: Stream
    size: int | None
    days: Sequence[date] = ()
    kept: dict[date, Side] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.days = self.days or self.stream.days
        self.monitored = {name for name, role in roles_of(self.stream.job).items() if role == "monitored"}

    def rows(self, day: date) -> pa.Table:
        """Return a night's rows."""
        return self.stream.make(day, self.size)

    @cached_property
    def profiles(self) -> dict[date, Profile]:
        """Return every night's profile; a few rows of each are kept for the default rules' reference."""
        found = {}
        for day in self.days:
            rows = self.rows(day)
            found[day] = self.stream.profile(rows)
            few = min(_FEW, rows.num_rows)
            chosen = np.random.default_rng([5, day.toordinal()]).choice(rows.num_rows, few, replace=False)
            self.kept[day] = default_rules.side_of(rows.take(pa.array(chosen)), self.stream.job)
        return found

    @cached_property
    def reference(self) -> Reference:
        """Return what a model trained on the first nights keeps, at this size of night."""
        return self.stream.reference({day: self.profiles[day] for day in self.stream.reference_days})

    def side(self, days: Sequence[date]) -> Side:
        """Return about 10,000 rows of some nights: what the default rules compare with."""
        assert self.profiles
        parts = [self.kept[day] for day in days]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def rule_scores(self, rows: pa.Table, reference: Side, names: list[str] | None = None) -> dict[str, Scores]:
        """Return the default rules' scores of a night's rows."""
        return default_rules.scores(default_rules.side_of(rows, self.stream.job), reference, names)

    @cached_property
    def rolling(self) -> list[Judged]:
        """Return every night after the reference, judged in order, each knowing only those before it."""
        past: list[Past] = []
        found = []
        for place, day in enumerate(self.days[REFERENCE_NIGHTS:], REFERENCE_NIGHTS):
            verdict = verdict_on(self.reference, past, day, Night(self.profiles[day]))
            past.append(Past.of(day, self.profiles[day], verdict))
            reference = self.side(self.days[place - REFERENCE_NIGHTS : place])
            scores = self.rule_scores(self.rows(day), reference)
            found.append(Judged(day, verdict, default_rules.alarms(scores, self.monitored)))
        return found

    def past(self, until: date) -> list[Past]:
        """Return the clean nights after the reference and before a night, with the verdicts on them."""
        return [Past.of(one.night, self.profiles[one.night], one.verdict) for one in self.rolling if one.night < until]

    def left_out(self, night_size: int | None = None, draws: int = 1) -> list[Judged]:
        """Return the reference nights, each judged by the others; of another size than theirs if asked."""
        days = self.stream.reference_days
        found = []
        for draw in range(draws):
            before: list[dict[str, bool]] = []
            for day in days:
                others = [other for other in days if other != day]
                rows, profile = self.rows(day), self.profiles[day]
                if night_size is not None:
                    rows = resampled(rows, night_size, np.random.default_rng([13, draw, day.toordinal()]))
                    profile = self.stream.profile(rows)
                baseline = Baseline(
                    self.stream.bins, [self.profiles[other] for other in others], quarantined=self.reference.quarantined
                )
                verdict = judge(Night(profile), baseline, self.stream.job, before[-2:])
                before.append({one.column: one.unusual for one in verdict.columns})
                scores = self.rule_scores(rows, self.side(others))
                found.append(Judged(day, verdict, default_rules.alarms(scores, self.monitored)))
        return found


@dataclass(frozen=True)
class Found:
    """How one fault that began on one night was found."""

    fault: Fault
    start: date
    delay: int | None
    """Nights until an alert because of the column: 1 is the first night; None: not within the horizon."""
    warned: int | None
    """Nights until a warning or an alert because of the column."""
    rules: dict[str, bool]
    """What the default rules say on the first night."""


def detections(world: World, starts: Sequence[date], faults: Sequence[Fault], far: int) -> Iterator[Found]:
    """Yield how every fault is found from every start night; only every ``far``-th start is followed for 14 nights."""
    days = list(world.days)
    for number, start in enumerate(starts):
        place = days.index(start)
        past = world.past(start)
        reference = world.side(days[place - REFERENCE_NIGHTS : place])
        rows = cache(world.rows)  # of the nights from this start on
        clean = world.rule_scores(rows(start), reference)
        for fault in faults:
            horizon = HORIZON if number % far == 0 else 3
            delay, warned, table = _followed(world, fault, (days[place : place + horizon], rows), list(past))
            scores = _rules_on(world, fault, table, rows(start), reference, clean)
            yield Found(fault, start, delay, warned, default_rules.alarms(scores, world.monitored))


def _followed(world: World, fault: Fault, nights: Any, past: list[Past]) -> tuple[int | None, int | None, pa.Table]:
    days, rows = nights
    warned, first = None, None
    for number, day in enumerate(days, 1):
        table, night = fault.night(world.stream, rows(day), world.profiles[day], day.toordinal())
        first = table if first is None else first
        verdict = verdict_on(world.reference, past, day, night)
        past.append(Past.of(day, night.profile, verdict))
        alert, warning = blamed(verdict, fault.column)
        warned = number if warned is None and warning else warned
        if alert:
            return number, warned, first
    return None, warned, first


def blamed(verdict: Verdict, column: str) -> tuple[bool, bool]:
    """Return whether a column is behind an alert, and whether it is unusual at all."""
    (one,) = (one for one in verdict.columns if one.column == column)
    lasting = any(reason.startswith(f"{column}:") and " of the last " in reason for reason in verdict.reasons)
    return one.unusual and (one.status in ("gross", "fault") or lasting), one.unusual


def _rules_on(
    world: World, fault: Fault, table: pa.Table, clean_rows: pa.Table, reference: Side, clean: dict[str, Scores]
) -> dict[str, Scores]:
    """Return the default rules' scores on a faulty night; columns that did not change are not looked at again."""
    if table.num_rows != clean_rows.num_rows or fault.column == PROFILED_PREDICTION:
        return world.rule_scores(table, reference)
    kept = {name: score for name, score in clean.items() if name != fault.column}
    only = [name for name in [fault.column] if name in reference]
    return {**kept, **world.rule_scores(table, reference, only)}


def lasting(
    world: World, faults: Sequence[Fault], starts: Sequence[date], nights: int = 2 * HORIZON
) -> dict[str, list[float]]:
    """Return, per fault, the share of starts on which the column is still unusual on each night that the fault lasts."""
    days = list(world.days)
    found = {}
    for fault in faults:
        seen = np.zeros((len(starts), nights))
        for number, start in enumerate(starts):
            past = world.past(start)
            place = days.index(start)
            for later, day in enumerate(days[place : place + nights]):
                _, night = fault.night(world.stream, world.rows(day), world.profiles[day], day.toordinal())
                verdict = verdict_on(world.reference, past, day, night)
                past.append(Past.of(day, night.profile, verdict))
                seen[number, later] = blamed(verdict, fault.column)[1]
        found[fault.name] = seen.mean(axis=0).tolist()
    return found


def counted(judged: Sequence[Judged], without: set[date] = frozenset()) -> dict[str, Any]:
    """Return how many nights raised what, some nights left out."""
    nights = [one for one in judged if one.night not in without]
    levels = [one.verdict.verdict for one in nights]
    rules = {rule: sum(one.rules[rule] for one in nights) for rule in RULES}
    return {"nights": len(nights), "alert": levels.count("alert"), "warn": levels.count("warn"), **rules}
