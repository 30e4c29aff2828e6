"""``Plan``: everything that was decided of a new job, before its files are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from lifecycle.drafting.calendar import Calendar
from lifecycle.drafting.outcome import Outcome
from lifecycle.drafting.request import DraftRequest
from lifecycle.drafting.roles import Guess
from lifecycle.drafting.times import TimeColumn
from scoring.names import RESERVED, SYSTEM_COLUMNS, plain
from scoring.stores.source import SourceTable

_A_NIGHT = "cast(:night as date) is not null"
"""True on every night. A snapshot's SQL has to bind it, also where the table knows no days."""
INTERVAL = "interval_start, interval_end (UTC, half-open)"
NIGHT = "night (the calendar day in the job's timezone)"


@dataclass(frozen=True)
class Plan:
    """A new job."""

    request: DraftRequest
    table: SourceTable
    key: dict[str, str]
    """The key columns with their types."""
    time: TimeColumn | None
    history: bool
    """Whether a snapshot's table has rows of every day."""
    outcome: Outcome
    guesses: Sequence[Guess]
    calendar: Calendar
    aliases: dict[str, str] = field(default_factory=dict)
    """Columns whose own name is taken in a job, with the name that they get."""

    def output(self, name: str) -> str:
        """Return what a column is called in the job."""
        return self.aliases.get(name, name)

    def quoted(self, output: str) -> str:
        """Return a column's name in the job as SQL has it."""
        column = self.table.by_name.get(output)
        return output if column is None or output in self.aliases.values() else column.sql

    def key_sql(self, name: str) -> str:
        """Return the expression of a key column."""
        if self.time is not None and name == self.time.name:
            return self.time.key_sql
        guess = next((guess for guess in self.guesses if guess.name == name and guess.role == "feature"), None)
        return guess.reading.sql if guess is not None and guess.reading is not None else self.table.by_name[name].sql

    @property
    def snapshot(self) -> bool:
        """Return whether the rows are entities."""
        return self.request.kind == "snapshot"

    @property
    def time_is_key(self) -> bool:
        """Return whether the time is a key column."""
        return self.time is not None and self.time.name in self.key

    @property
    def repeats(self) -> bool:
        """Return whether every night holds the same rows, for the table keeps one state of each."""
        return self.snapshot and not self.history

    @property
    def clock(self) -> str | None:
        """Return the moment of which the pipeline makes hour and weekday, or None."""
        return self.time.name if self.time is not None and self.time_is_key and not self.time.by_day else None

    @property
    def label(self) -> str:
        """Return what the label is called in the job."""
        return self.output(self.outcome.name)

    @property
    def condition(self) -> str:
        """Return the condition by which the statements take the rows of a night."""
        if self.time is None:
            return _A_NIGHT
        where = self.time.where_sql
        if self.repeats:
            return f"{where} <= :night" if self.time.by_day else f"{where} < :interval_end\n  and {_A_NIGHT}"
        if self.time.by_day:
            return f"{where} = :night"
        within = f"{where} >= :interval_start\n  and {where} < :interval_end"
        return f"{within}\n  and {_A_NIGHT}" if self.snapshot else within

    @property
    def parameters(self) -> str:
        """Return the statements' parameters, for people."""
        if self.time is None or self.time.by_day:
            return NIGHT
        ends = "interval_end (UTC, not included)" if self.repeats else INTERVAL
        return f"{ends}, {NIGHT}" if self.snapshot else ends

    @property
    def notes(self) -> list[str]:
        """Return what the statements have to say of what they cannot know."""
        if not self.repeats:
            return []
        rows = (
            "every night holds all rows"
            if self.time is None
            else f"a night holds the rows whose {self.time.name} lies before its end"
        )
        return [
            f"careful:    the table keeps one state of each row: {rows},",
            "            with the values that they have when the statement runs. A backfill or a training on past nights",
            "            sees today's values. For honest ones keep a history: a row per entity and day, `where day = :night`",
        ]


def aliases_of(key: dict[str, str], guesses: Sequence[Guess], outcome: Outcome) -> dict[str, str]:
    """Return new names for the columns of a job whose names Nightshift or PostgreSQL has already."""
    features = [guess.name for guess in guesses if guess.role == "feature"]
    taken = {guess.name for guess in guesses}
    aliases = {}
    chances = outcome.task.probability_columns(outcome.classes)
    for name in dict.fromkeys([*key, *features]):
        as_key = name in key and (plain(name) in RESERVED | SYSTEM_COLUMNS | {*chances} or not plain(name))
        if as_key or name in RESERVED or name in chances or name.startswith("."):
            alias = f"source_{plain(name)}"
            while alias in taken:
                alias += "_"
            aliases[name] = alias
            taken.add(alias)
    return aliases


DAY = timedelta(days=1)


def commands_of(plan: Plan) -> list[tuple[str, str]]:
    """Return the commands that come next, each with what it does."""
    name, calendar = plan.request.name, plan.calendar
    steps = [
        (f"nightshift check {name} --rows 10000 --night {calendar.last_scored}", "pipeline, SQL, and a night's rows"),
        ("nightshift migrate", "makes the tables of the warehouse"),
    ]
    since = f" --since {calendar.since}" if calendar.since else ""
    steps.append(
        (f"nightshift train {name}{since} --until {calendar.until}", f"learns from nights before {calendar.until}")
    )
    steps.append((f"nightshift run {name} --night {calendar.until}", "scores a night"))
    if calendar.last_scored > calendar.until:
        rest = f"nightshift run {name} --from {calendar.until + DAY} --to {calendar.last_scored}"
        steps.append((rest, "scores the nights up to the last outcome"))
    steps.append((f"nightshift drift performance {name} --night {calendar.measured}", "how good they were"))
    return steps
