"""The nights that ``bench.drift_quality`` judges: real flights, two made-up streams, and the faults put into them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from drift.verdict import Reference
from lifecycle.training import NIGHT
from scoring.interval import Nights
from scoring.job import Job, find_job
from scoring.rows import Bins, Profile, bins_of, profiled
from scoring.settings import Settings
from scoring.stores import LABEL_COLUMN, Stores, Workspace, open_stores
from scoring.stores.registry import VersionRef

REFERENCE_NIGHTS = 90
YEAR = Nights(date(2013, 1, 1), date(2014, 1, 1))
UNTIL = date(2013, 4, 1)
PROBABILITY = "probability"


@dataclass(frozen=True)
class Stream:
    """A job's nights: each a table of features, ``probability`` and, where known, the label."""

    name: str
    job: Job
    days: list[date]
    make: Callable[[date, int | None], pa.Table]
    """The rows of a night, of about so many as asked; the night's own number for None."""
    quarantined: Mapping[str, int] = field(default_factory=dict)
    """Rows of the reference by reason."""

    @property
    def reference_days(self) -> list[date]:
        """Return the nights that a model would have been trained on."""
        return self.days[:REFERENCE_NIGHTS]

    @cached_property
    def bins(self) -> dict[str, Bins]:
        """Return bins that fit the reference nights."""
        whole = pa.concat_tables([self.make(day, None) for day in self.reference_days])
        return bins_of(profiled(whole, whole, self.job))

    def profile(self, table: pa.Table) -> Profile:
        """Return the profile of a night's rows."""
        return Profile.of(self.bins, profiled(table, table, self.job), table.num_rows)

    def reference(self, nights: Mapping[date, Profile]) -> Reference:
        """Return what a model version would keep."""
        rows = sum(night.rows for night in nights.values())
        shares = {name: count / rows for name, count in self.quarantined.items()}
        return Reference(
            self.bins, nights, {name: 1 / len(self.job.features) for name in self.job.features}, shares, self.job
        )


# ---------------------------------------------------------------- the flights of 2013, through the real path


def flights(settings: Settings) -> tuple[Stream, Stores, VersionRef]:
    """Seed, train on the first quarter, and return the year, every night predicted by a model that had not seen it."""
    from demo.seed import seed
    from drift.runs import reference_of
    from lifecycle.promotion import promote
    from lifecycle.training import out_of_fold, read_rows, train
    from scoring.rows import predict
    from scoring.stores.warehouse import ensure_job, migrate

    stores = open_stores(settings, lambda: datetime.now(UTC))
    job = find_job(settings.jobs_dir, "flight_delay")
    migrate(stores.warehouse)
    seed(stores.source_url(job), lambda table: None)
    ensure_job(stores.warehouse, job)
    ref = train(Workspace(stores, job), Nights(YEAR.first, UNTIL)).ref
    promote(Workspace(stores, job), ref.version, "benchmark", "bench", UNTIL)
    pipeline = stores.registry.load(ref, job).pipeline
    before = read_rows(Workspace(stores, job), Nights(YEAR.first, UNTIL)).table
    after = read_rows(Workspace(stores, job), Nights(UNTIL, YEAR.until)).table.combine_chunks()
    chances = out_of_fold(job, pipeline, before), pa.Table.from_batches([predict(pipeline, after.to_batches()[0], job)])
    parts = [
        rows.append_column(PROBABILITY, found.column(PROBABILITY))
        for rows, found in zip((before, after), chances, strict=True)
    ]
    stream = _cut("flights", job, pa.concat_tables(parts).combine_chunks())
    kept = reference_of(Workspace(stores, job), ref)
    if {day: stream.profile(stream.make(day, None)) for day in stream.reference_days} != kept.nights:
        raise AssertionError("the nights that were read are not those that the model version keeps")
    return stream, stores, ref


def _cut(name: str, job: Job, rows: pa.Table) -> Stream:
    days = list(YEAR)
    night = rows.column(NIGHT)
    own = {day: rows.filter(pc.equal(night, pa.scalar(day, pa.date32()))).combine_chunks() for day in days}

    def make(day: date, wanted: int | None) -> pa.Table:
        return own[day] if wanted is None else resampled(own[day], wanted, np.random.default_rng([7, day.toordinal()]))

    return Stream(name, job, days, make)


def resampled(rows: pa.Table, wanted: int, random: np.random.Generator) -> pa.Table:
    """Return rows drawn with replacement: a night of another size, which differs from others as the real one does."""
    return rows.take(pa.array(np.sort(random.integers(0, rows.num_rows, wanted)))).combine_chunks()


# ---------------------------------------------------------------- made-up streams

_CHANNELS = ("branch", "mail", "partner", "phone", "web")
_CHANNEL_SHARES = np.array([0.15, 0.05, 0.1, 0.2, 0.5])
_REGIONS = tuple(f"region {number:02}" for number in range(40))
_NATURAL = 2_000


def made_up(name: str, seasonal: float) -> Stream:
    """Return a stream whose nights differ by effects drawn once per night and by weekday.

    ``seasonal`` is the amplitude, in standard deviations of rows, of a yearly cycle of some of its columns.
    """
    number = {"type": "float", "nullable": True}
    job = Job.model_validate(
        {
            "name": name,
            "description": "Made up.",
            "owner": "bench",
            "source": "none",
            "task": "binary",
            "schedule": {"timezone": "UTC", "first_night": YEAR.first},
            "key": {"id": "int"},
            "label": {"column": "y"},
            "pipeline": "none:none",
            "features": {
                "amount": {"type": "float", "min": 0},
                "age": number,
                "income": number,
                "duration": number,
                "channel": {"type": "category"},
                "region": {"type": "category"},
                "temperature": {**number, "drift": "seasonal"},
            },
        }
    )
    days = list(YEAR)
    return Stream(name, job, days, lambda day, rows: _night(day, rows or _NATURAL, seasonal))


def _night(day: date, rows: int, seasonal: float) -> pa.Table:
    effect = np.random.default_rng([1, day.toordinal(), round(seasonal * 100)])  # the same whatever the size
    random = np.random.default_rng([2, day.toordinal(), rows])
    cycle = seasonal * np.sin(2 * np.pi * day.timetuple().tm_yday / 365)
    weekend = float(day.weekday() >= 5)
    shocks = effect.normal(size=4)
    amount = np.exp(3 + 0.8 * (random.normal(size=rows) + 0.04 * shocks[0] + cycle - 0.1 * weekend))
    age = 40 + 12 * (random.normal(size=rows) + 0.03 * shocks[1])
    income = 30 + 8 * random.gamma(4, size=rows) * np.exp(0.02 * shocks[2] + 0.25 * cycle)
    absent = random.random(rows) < np.clip(0.16 + 0.01 * effect.normal(), 0, 1)
    duration = random.gamma(2, 5 * np.exp(0.04 * shocks[3] + 0.05 * weekend), size=rows)
    channel = random.choice(5, rows, p=effect.dirichlet(800 * _CHANNEL_SHARES * (1 + weekend * np.eye(5)[4])))
    usual = 1 / np.arange(2, 42)
    region = random.choice(40, rows, p=effect.dirichlet(3000 * usual / usual.sum()))
    score = 0.8 * np.log(amount) + 0.03 * age - 0.4 * (channel == 4) + 0.3 * random.normal(size=rows) - 4.5
    chance = 1 / (1 + np.exp(-score))
    return pa.table(
        {
            "amount": amount,
            "age": age,
            "income": pa.array(income, mask=absent),
            "duration": duration,
            "channel": pa.array(_CHANNELS).take(pa.array(channel)),
            "region": pa.array(_REGIONS).take(pa.array(region)),
            "temperature": 10
            + 10 * np.sin(2 * np.pi * day.timetuple().tm_yday / 365)
            + 4 * effect.normal()
            + random.normal(size=rows),
            PROBABILITY: chance,
            LABEL_COLUMN: random.random(rows) < chance,
        }
    )
