"""Drafts a job from a table: reads its columns and a sample, guesses what they are, and writes the job's files."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from lifecycle.drafting.calendar import DAY, calendar_of
from lifecycle.drafting.files import job_files
from lifecycle.drafting.keys import ONCE, key_columns, key_type, require_once
from lifecycle.drafting.names_of_columns import looks_personal
from lifecycle.drafting.outcome import Outcome, outcome_of
from lifecycle.drafting.plan import Plan, aliases_of, commands_of
from lifecycle.drafting.reading import Reading, read_column
from lifecycle.drafting.request import DraftRequest, column_named
from lifecycle.drafting.roles import Guess, Surroundings, feature_guess, key_guess
from lifecycle.drafting.times import Days, TimeColumn, candidates, days_of, guessed_time, nights_of_rows, time_column
from scoring.errors import JobFileError, TrainingDataError
from scoring.job import new_job, parsed_job
from scoring.settings import Settings
from scoring.stores import source_url, source_variable
from scoring.stores.source import SourceTable, ends_of, read_table


@dataclass(frozen=True)
class Draft:
    """What was written, what was guessed, and what to do next."""

    files: list[Path]
    guesses: list[Guess]
    facts: list[tuple[str, str]]
    warnings: list[str]
    commands: list[tuple[str, str]]
    preview: date
    """A night with rows, to look at."""


def draft_job(settings: Settings, request: DraftRequest, now: datetime) -> Draft:
    """Write the files of a job that begins from a table, and return what was guessed.

    Nothing is written when something is wrong. Raises ``SourceQueryError`` about the table, ``JobFileError`` about names and
    options, and ``TrainingDataError`` about a label that cannot be learned.
    """
    new_job(settings, request.name, request.source, write=False)
    today = now.astimezone(_zone(request.timezone, "--timezone")).date()
    _zone(request.source_timezone, "--source-timezone")
    url, variable = source_url(settings, request.source), source_variable(request.source)
    table = read_table(url, request.table, variable)
    if not table.rows.num_rows:
        raise TrainingDataError(
            f"table {request.table}",
            found="no rows",
            expected="some rows with outcomes, to guess types and limits from",
            next_step=f"fill it, or write the job by hand: nightshift new-job {request.name} --source {request.source}",
        )
    plan = _plan(table, request, today, url)
    texts = job_files(plan)
    parsed_job(texts["job.yaml"], f"{request.name}.yaml")
    files = new_job(settings, request.name, request.source, texts)
    return Draft(files, list(plan.guesses), _facts(plan), _warnings(plan), commands_of(plan), plan.calendar.last_scored)


def _zone(name: str, option: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise JobFileError(option, found=repr(name), expected="a timezone such as America/New_York") from None


def _plan(table: SourceTable, request: DraftRequest, today: date, url: str) -> Plan:
    label = column_named(table, request.label, "--label")
    readings = {column.name: _reading(table, column.name, request.source_timezone) for column in table.columns}
    personal = looks_personal(label, []) is not None
    outcome = outcome_of(readings[label], request, personal)
    time = _time(table, readings, request, label)
    names, reason = key_columns(table, readings, request, time)
    if time is None:
        require_once(table, names)
    is_key = time is not None and request.kind == "events"
    key = {time.name: time.key_type} if time is not None and is_key else {}
    key |= {name: key_type(readings[name]) for name in names}
    history = request.kind == "snapshot" and time is not None and _comes_again(table, names, time)
    days = _days(table, outcome, request, time, today, url)
    calendar = calendar_of(table, request, time, days, today, repeats=request.kind == "snapshot" and not history)
    nights = (
        None if time is None or (request.kind == "snapshot" and not history) else nights_of_rows(time, request.timezone)
    )
    if history and nights is not None:
        calendar = calendar.of_entities(table.rows.select(names), nights)
    entity = readings[names[0]].values if request.kind == "snapshot" and len(names) == 1 else None
    guesses = _guesses(readings, key, Surroundings(outcome, nights, calendar.window_days, entity), time, reason)
    if not any(guess.role == "feature" for guess in guesses):
        raise TrainingDataError(
            f"table {request.table}",
            found="no column that can be a feature: " + "; ".join(f"{g.name}: {g.reason}" for g in guesses if g.reason),
            expected="at least one",
            next_step="make some in a view, and give that",
        )
    return Plan(request, table, key, time, history, outcome, guesses, calendar, aliases_of(key, guesses, outcome))


def _reading(table: SourceTable, name: str, zone: str) -> Reading:
    values = table.rows.column(name).combine_chunks() if name in table.rows.schema.names else None
    return read_column(table.by_name[name], values, zone)


def _time(table: SourceTable, readings: Mapping[str, Reading], request: DraftRequest, label: str) -> TimeColumn | None:
    if request.time is not None:
        return time_column(table, readings, column_named(table, request.time, "--time"), request)
    if request.kind == "snapshot":
        return _day_of_history(table, readings, request, label)
    return time_column(table, readings, guessed_time(readings, label), request)


def _day_of_history(
    table: SourceTable, readings: Mapping[str, Reading], request: DraftRequest, label: str
) -> TimeColumn | None:
    """Return the day that makes a table a history: one on which every key comes once, while it comes on many days."""
    for name in (name for name in candidates(readings) if readings[name].kind == "day" and name != label):
        day = time_column(table, readings, name, request)
        with suppress(JobFileError):  # no columns are unique on such a day
            keys, _ = key_columns(table, readings, request, day)
            once = table.rows.group_by([*keys, name]).aggregate([]).num_rows == table.rows.num_rows
            if once and _comes_again(table, keys, day):
                return replace(day, notes=(*day.notes, "the same keys come on many of its days"))
    return None


def _comes_again(table: SourceTable, names: list[str], time: TimeColumn) -> bool:
    """Return whether the same key comes at several times, so that the table is a history."""
    rows = table.rows
    keys = rows.group_by(names).aggregate([]).num_rows
    return bool(keys < ONCE * rows.num_rows and rows.group_by([*names, time.name]).aggregate([]).num_rows > keys)


def _guesses(
    readings: Mapping[str, Reading], key: Mapping[str, str], around: Surroundings, time: TimeColumn | None, reason: str
) -> list[Guess]:
    guesses, outcome = [], around.outcome
    for name, reading in readings.items():
        if name == outcome.name:
            positive = f"; positive: {outcome.positive!r}" if outcome.positive else ""
            guesses.append(Guess(name, str(outcome.task), "label", f"{outcome.reason}{positive}", reading=reading))
        elif time is not None and name == time.name:
            role = "key" if name in key else "time"
            how = "a calendar day, compared with :night" if time.by_day else "a moment, compared with the interval"
            guesses.append(Guess(name, time.key_type, role, "; ".join([*time.notes, how]), reading=reading))  # type: ignore[arg-type]
        elif name in key:
            may_be = key[name] in ("string", "int") and around.entity is None
            guess = feature_guess(reading, around, key=True) if may_be else None
            as_key = key_guess(reading, key[name], reason)
            both = guess is not None and guess.role == "feature"
            guesses.append(
                Guess(name, key[name], "feature", f"key ({reason}), and {guess.reason}", guess.settings, reading)
                if both and guess
                else as_key
            )
        else:
            guesses.append(feature_guess(reading, around))
    return guesses


def _days(
    table: SourceTable, outcome: Outcome, request: DraftRequest, time: TimeColumn | None, today: date, url: str
) -> Days:
    if time is None:
        return Days(today - DAY, today - DAY, today - DAY)
    known = f"{outcome.reading.sql} is not null"

    def ask(expression: str, condition: str) -> tuple[Any, Any]:
        return ends_of(url, table, expression, condition, source_variable(request.source))

    return days_of(time, known, request, ask, today - DAY)


def _facts(plan: Plan) -> list[tuple[str, str]]:
    """Return what was decided of the job as a whole, with the reason."""
    calendar, outcome, table = plan.calendar, plan.outcome, plan.table
    rows = table.rows.num_rows
    about = f" of about {table.estimate:,}" if table.estimate and not table.whole else ""
    place = (
        "all rows" if table.whole else f"{rows:,} rows{about}, " + ("from all over it" if table.spread else "its first")
    )
    facts = [
        ("sample", f"{rows:,} rows: {place}" if table.whole else place),
        ("kind", plan.request.kind + (": a history, a row per key and day" if plan.history else "")),
        ("key", ", ".join(plan.key)),
        ("label", f"{outcome.name}: {outcome.task} ({outcome.reason})"),
    ]
    if outcome.task.has_positive:
        facts.append(("positive", outcome.positive or "true, 1 or t"))
    if outcome.task.least_classes:
        facts.append(("classes", ", ".join(outcome.classes)))
    if plan.time is not None:
        known = f", outcomes to {calendar.days.last_labelled}" if calendar.days.last_labelled else ""
        facts.append(("days", f"{calendar.days.first} to {calendar.days.last}{known}, in {plan.request.timezone}"))
    facts.append(("delay_days", f"{calendar.delay_days}: {calendar.delay_reason}"))
    facts.append(
        (
            "features",
            f"{sum(guess.role == 'feature' for guess in plan.guesses)}"
            + (f", and hour and weekday of {plan.clock}" if plan.clock else ""),
        )
    )
    return facts


def _warnings(plan: Plan) -> list[str]:
    """Return what somebody has to look at before the job is trusted."""
    warnings = [
        f"{guess.name}: {guess.reason}" for guess in plan.guesses if "LEAK?" in guess.reason or "LOOK:" in guess.reason
    ]
    if plan.repeats:
        warnings.append(
            "the table keeps one state of each row: nights in the past hold today's values, so performance on them flatters; "
            "the SQL says more" + ("" if plan.time is None else "; --kind events scores each row once instead")
        )
    if not plan.calendar.enough:
        warnings.append("there are not enough nights with outcomes to train on some and score another")
    if not plan.table.whole and not plan.table.spread:
        warnings.append(
            "the sample is the beginning of the table: later rows may break its limits; check --rows shows them"
        )
    if plan.calendar.days.from_sample:
        warnings.append(
            "the database took too long to find the table's first and last day: they are those of the sample"
        )
    return warnings
