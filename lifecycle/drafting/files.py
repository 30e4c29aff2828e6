"""The text of a new job's files: yaml, pipeline and both statements."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from string import Template
from typing import Any

from lifecycle.drafting.feature_settings import CODES
from lifecycle.drafting.outcome import Outcome
from lifecycle.drafting.plan import Plan
from lifecycle.drafting.roles import Guess

_TEMPLATES = Path(__file__).parent / "templates"
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_ -]*[A-Za-z0-9_]|[A-Za-z_]")
_WORDS_OF_YAML_TEXT = "y n yes no on off true false null none"
_WORDS_OF_YAML = frozenset(_WORDS_OF_YAML_TEXT.split())
_KEPT_OUT = 200
"""Columns that are left out and listed in the job file at most."""


def job_files(plan: Plan) -> dict[str, str]:
    """Return the text of each file of the job, by the name of its template."""
    features = [guess for guess in plan.guesses if guess.role == "feature"]
    return {
        "job.yaml": _filled("job.yaml", _yaml_parts(plan, features)),
        "pipeline.py.txt": _filled("pipeline.py.txt", _pipeline_parts(plan, features)),
        "features.sql": _filled("features.sql", _features_parts(plan, features)),
        "labels.sql": _filled("labels.sql", _labels_parts(plan)),
    }


def _filled(name: str, parts: dict[str, str]) -> str:
    return Template((_TEMPLATES / name).read_text(encoding="utf-8")).substitute(parts)


def scalar(value: Any) -> str:
    """Return a value as YAML has it on one line.

    >>> scalar("late"), scalar("yes"), scalar("a: b"), scalar(True), scalar(["a", 1])
    ('late', '"yes"', '"a: b"', 'true', '[a, 1]')
    """
    if isinstance(value, list):
        return f"[{', '.join(scalar(item) for item in value)}]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS_OF_YAML:
        return value
    return str(value) if isinstance(value, date) else json.dumps(value, ensure_ascii=False)


def _mapping(settings: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {scalar(value)}" for name, value in settings.items()) + "}"


def _line(text: str) -> str:
    """Return text that stays one line of a comment."""
    return re.sub(r"\s+", " ", text)


def _yaml_parts(plan: Plan, features: Sequence[Guess]) -> dict[str, str]:
    job, outcome = plan.request, plan.outcome
    keys = [f"  {scalar(plan.output(name))}: {kind}" for name, kind in plan.key.items()]
    return {
        "name": job.name,
        "description": json.dumps(f"What {job.table} has in {outcome.name}, before it is known.", ensure_ascii=False),
        "schedule": "\n".join(_schedule(plan)),
        "source": job.source,
        "SOURCE": job.source.upper(),
        "settings": "\n".join(_settings(plan)),
        "key": "\n".join(keys),
        "features": "\n".join([*_features(plan, features), *_left_out(plan)]),
        "task": str(outcome.task),
        "label": "\n".join(_label(plan, outcome)),
        "rest": "\n".join(_rest(plan)),
    }


def _schedule(plan: Plan) -> Iterator[str]:
    yield f"  timezone: {plan.request.timezone:<23} # a night is a calendar day there"
    yield '  cron: "0 0 * * *"               # once a day, after the night ended'
    yield f"  first_night: {plan.calendar.first_night:%Y-%m-%d}         # the first day of the table"
    if plan.calendar.last_night is not None:
        yield f"  last_night: {plan.calendar.last_night:%Y-%m-%d}          # the table's last day; null once it gets new rows"


def _settings(plan: Plan) -> Iterator[str]:
    yield f"source_timezone: {plan.request.source_timezone:<21} # the zone of times that are stored without one"
    yield f"kind: {plan.request.kind}"
    if plan.time is not None and plan.time_is_key and not plan.time.by_day:
        yield f"time_column: {scalar(plan.output(plan.time.name))}   # a key column: rows outside the night are quarantined"


def _features(plan: Plan, features: Sequence[Guess]) -> Iterator[str]:
    for guess in features:
        yield f"  {scalar(plan.output(guess.name))}: {_mapping(guess.settings)}   # {_line(guess.reason)}"
    if plan.clock:
        yield (f"  {scalar(plan.output(plan.clock))}: {{type: datetime}}   # the pipeline makes hour and weekday of it")


def _left_out(plan: Plan) -> Iterator[str]:
    out = [guess for guess in plan.guesses if guess.role == "left out"]
    if out:
        yield "  # left out:"
        yield from (f"  #   {_line(guess.name)}: {_line(guess.reason)}" for guess in out[:_KEPT_OUT])


def _label(plan: Plan, outcome: Outcome) -> Iterator[str]:
    yield f"  column: {scalar(plan.label)}"
    if outcome.task.least_classes:
        yield f"  classes: {scalar(outcome.classes)}"
    if outcome.task.has_positive and outcome.positive is not None:
        yield f"  positive: {json.dumps(outcome.positive, ensure_ascii=False)}"
    yield f"  delay_days: {plan.calendar.delay_days:<18} # {_line(plan.calendar.delay_reason)}"
    if plan.request.horizon_days is not None:
        yield f"  horizon_days: {plan.request.horizon_days:<16} # how long the outcome's window is"


def _rest(plan: Plan) -> Iterator[str]:
    yield "training:"
    yield f"  window_days: {plan.calendar.window_days}"
    yield f"  holdout_nights: {plan.calendar.holdout_nights}"
    yield f"  min_rows: {plan.calendar.min_rows}"
    if plan.calendar.holdout_nights < 7:
        yield f"promotion:\n  min_nights: {plan.calendar.holdout_nights}                # raise both once there are more nights"
    if plan.repeats:
        yield "retraining:\n  enabled: false                # every night holds the same rows: see the SQL"
    if plan.calendar.skips_empty:
        yield "on_empty: skip                    # the table has days without rows"


def _pipeline_parts(plan: Plan, features: Sequence[Guess]) -> dict[str, str]:
    named = {
        kind: [plan.output(guess.name) for guess in features if (guess.settings["type"] == "category") == (kind == "c")]
        for kind in ("c", "n")
    }
    classifies = plan.outcome.task.classifies
    clock = bool(plan.clock)
    return {
        "name": plan.request.name,
        "model": "HistGradientBoostingClassifier" if classifies else "HistGradientBoostingRegressor",
        "categories": _listing(named["c"]),
        "numbers": _listing(named["n"]),
        "codes": str(CODES),
        "leaf": str(plan.calendar.leaf_rows),
        "trees": str(plan.calendar.trees),
        "leaf_note": _leaf_note(plan.calendar.nights_of_entity),
        "imports": "import pandas as pd\n" if clock else "",
        "transformers": "FunctionTransformer, OrdinalEncoder" if clock else "OrdinalEncoder",
        "pieces": _piece("pipeline_clock.py.txt", plan) if clock else "",
        "clock": f",\n        (FunctionTransformer(clock), {_listing([plan.output(plan.clock or '')])})"
        if clock
        else "",
    }


def _leaf_note(nights: int) -> str:
    return "" if nights == 1 else f"  # rows: a key has about {nights} of them, and smaller leaves learn keys by heart"


def _piece(name: str, plan: Plan) -> str:
    return _filled(name, {"timezone": plan.request.timezone})


def _listing(names: Sequence[str]) -> str:
    """Return a list of names as Python has it, over several lines if it is long."""
    flat = json.dumps(list(names), ensure_ascii=False)
    if len(flat) <= 90:
        return flat
    return "[\n" + "".join(f"    {json.dumps(name, ensure_ascii=False)},\n" for name in names) + "]"


def _selected(plan: Plan, entries: Sequence[tuple[str, str]]) -> str:
    """Return the list of a select, of expressions and the names of what they give."""
    lines = []
    for sql, name in entries:
        written = plan.quoted(name)
        lines.append(f"    {sql}" if sql == written else f"    {sql} as {written}")
    return ",\n".join(lines)


def _features_parts(plan: Plan, features: Sequence[Guess]) -> dict[str, str]:
    entries = {plan.output(name): plan.key_sql(name) for name in plan.key}
    described = [guess for guess in features if guess.reading is not None and guess.name not in plan.key]
    entries |= {plan.output(guess.name): guess.reading.sql for guess in described if guess.reading is not None}
    return {
        "grain": _grain(plan),
        "parameters": plan.parameters,
        "notes": "".join("-- " + re.sub(r"[\r\n]", " ", note) + "\n" for note in plan.notes),
        "columns": _selected(plan, [(sql, name) for name, sql in entries.items()]),
        "table": plan.table.sql,
        "condition": plan.condition,
    }


def _labels_parts(plan: Plan) -> dict[str, str]:
    keys = [(plan.key_sql(name), plan.output(name)) for name in plan.key]
    outcome = plan.outcome.reading.sql
    return {
        **_features_parts(plan, []),
        "columns": _selected(plan, [*keys, (outcome, plan.label)]),
        "outcome": outcome,
    }


def _grain(plan: Plan) -> str:
    names = ", ".join(plan.output(name) for name in plan.key)
    return _line(f"one row per ({names})" + (" and night" if plan.request.kind == "snapshot" else ""))
