"""What goes wrong in the nights of ``bench.drift_streams``: from one night on, in one column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.drift_streams import Stream
from drift.verdict import Night
from scoring.job import Job
from scoring.rows import Profile, profiled
from scoring.stores import LABEL_COLUMN

Change = Callable[[pa.Table, np.random.Generator], pa.Table]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong from one night on, in one column."""

    column: str
    what: str
    change: Change
    aim: str = ""
    """``gross``: to be found on the first night; ``mild``: within three; nothing: only measured."""

    @property
    def name(self) -> str:
        """Return the fault as the tables show it."""
        return f"{self.column}: {self.what}"

    def night(self, stream: Stream, rows: pa.Table, clean: Profile, seed: int) -> tuple[pa.Table, Night]:
        """Return the night's rows with the fault, those that the contract lets through, and what is judged."""
        changed = self.change(rows, np.random.default_rng([11, seed]))
        kept, quarantined = _contracted(changed, stream.job, self.column)
        if self.column in stream.bins and kept.num_rows == rows.num_rows and self.what != LABELS_DOUBLE:
            names = (self.column, stream.bins[self.column].strata)
            only = {name: stream.bins[name] for name in names if name is not None}
            part = Profile.of(only, profiled(kept, kept, stream.job), kept.num_rows)
            return kept, Night(Profile(kept.num_rows, {**clean.columns, **part.columns}), quarantined)
        return kept, Night(stream.profile(kept), quarantined)


LABELS_DOUBLE = "twice as many positives"


def _contracted(rows: pa.Table, job: Job, column: str) -> tuple[pa.Table, dict[str, int]]:
    """Return the rows that the column's part of the contract lets through, and how many it does not."""
    feature = job.features.get(column)
    if feature is None:
        return rows, {}
    values, good = rows.column(column), np.ones(rows.num_rows, dtype=bool)
    if not feature.nullable:
        good &= values.is_valid().to_numpy()
    for limit, beyond in ((feature.min, pc.less), (feature.max, pc.greater)):
        if limit is not None:
            good &= ~pc.fill_null(beyond(values, limit), False).to_numpy()
    if good.all():
        return rows, {}
    return rows.filter(pa.array(good)), {column: int((~good).sum())}


def _replaced(rows: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(column), column, values)


def scaled(column: str, factor: float, what: str = "", aim: str = "") -> Fault:
    """Return a fault that multiplies a number column."""

    def change(rows: pa.Table, random: np.random.Generator) -> pa.Table:
        values = rows.column(column)
        changed = pc.multiply(pc.cast(values, pa.float64()), factor)
        return _replaced(
            rows, column, pc.cast(pc.round(changed), values.type) if pa.types.is_integer(values.type) else changed
        )

    return Fault(column, what or f"× {factor:g}", change, aim)


def nulls(column: str, share: float, aim: str = "") -> Fault:
    """Return a fault that takes away a share of a column's values."""

    def change(rows: pa.Table, random: np.random.Generator) -> pa.Table:
        values = rows.column(column)
        gone = pa.chunked_array([pa.array(random.random(rows.num_rows) < share)])
        return _replaced(rows, column, pc.if_else(gone, pa.scalar(None, values.type), values))

    return Fault(column, f"nulls {share:.0%} more", change, aim)


def unseen(column: str, share: float, aim: str = "") -> Fault:
    """Return a fault that gives a share of rows a category that training never had."""

    def change(rows: pa.Table, random: np.random.Generator) -> pa.Table:
        new = pa.chunked_array([pa.array(random.random(rows.num_rows) < share)])
        return _replaced(rows, column, pc.if_else(new, "new!", rows.column(column)))

    return Fault(column, f"unseen category {share:.0%}", change, aim)


def renamed(column: str, level: str) -> Fault:
    """Return a fault that writes one category in another way."""

    def change(rows: pa.Table, random: np.random.Generator) -> pa.Table:
        return _replaced(
            rows, column, pc.if_else(pc.equal(rows.column(column), level), f"{level}_2", rows.column(column))
        )

    return Fault(column, f"{level} renamed", change, "gross")


def lost(column: str, level: str) -> Fault:
    """Return a fault that loses the rows of one category."""

    def change(rows: pa.Table, random: np.random.Generator) -> pa.Table:
        return rows.filter(pc.not_equal(rows.column(column), level))

    return Fault(column, f"rows of {level} lost", change, "gross")


def labels_double() -> Fault:
    """Return a shift in which positive rows come twice as often; every column follows."""

    def change(rows: pa.Table, random: np.random.Generator) -> pa.Table:
        late = pc.fill_null(rows.column(LABEL_COLUMN), False).to_numpy()
        share = late.mean()
        wanted = min(2 * share, 0.9)
        chance = np.where(late, wanted / max(late.sum(), 1), (1 - wanted) / max((~late).sum(), 1))
        return rows.take(pa.array(random.choice(rows.num_rows, rows.num_rows, p=chance / chance.sum())))

    return Fault("prediction", LABELS_DOUBLE, change)


def faults_of(stream: Stream) -> list[Fault]:
    """Return the faults that are put into a stream."""
    flown = stream.name == "flights"
    numbers = ("distance", "seats", "plane_age", "sched_dep_minute") if flown else ("amount", "age", "duration")
    aims = {1.1: "mild", 1.25: "gross", 1.5: "gross"}
    found = [scaled(name, factor, aim=aim) for name in numbers for factor, aim in aims.items()]
    if flown:
        found += [scaled("distance", 1.609344, "miles → km", "gross")]
        found += [
            scaled("sched_dep_minute", 1 / 60, "minutes → hours", "gross"),
            scaled("plane_age", 12, "years → months", "gross"),
        ]
        found += [lost("carrier", "UA"), lost("origin", "JFK"), renamed("carrier", "UA"), renamed("dest", "ATL")]
        found += [unseen(name, share) for name in ("carrier", "dest") for share in (0.01, 0.05)]
        full, partly = ("distance", "sched_dep_minute", "carrier"), ("seats", "plane_age")
    else:
        found += [
            scaled("amount", 100, "whole → cents", "gross"),
            lost("channel", "phone"),
            renamed("channel", "phone"),
        ]
        found += [unseen("region", share) for share in (0.01, 0.05)]
        full, partly = ("amount", "age"), ("income",)
    found += [nulls(name, share, "gross") for name in full for share in (0.05, 0.2)]
    found += [nulls(name, share) for name in partly for share in (0.05, 0.2)]
    return [*found, labels_double()]
