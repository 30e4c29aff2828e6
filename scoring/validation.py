"""Pydantic's validation errors as sentences in one grammar: where, what was found, what was expected."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from scoring.names import COLUMN_LETTERS, COLUMN_PATTERN, JOB_LETTERS, JOB_PATTERN, SOURCE_PATTERN

CRON_PATTERN = r"^[0-5]?\d ([01]?\d|2[0-3]) \* \* \*$"
CLOCK_PATTERN = r"^([01]\d|2[0-3]):[0-5]\d$"
FACTORY_PATTERN = r"^[a-zA-Z_][\w.]*:[a-zA-Z_]\w*$"


def _cron_field(value: str) -> str:
    """Return the pattern of one field: values, ranges and steps with commas between them."""
    part = rf"(\*|({value})(-({value}))?)(/\d+)?"
    return rf"{part}(,{part})*"


_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_CRON_FIELDS = (
    r"[0-5]?\d",
    r"[01]?\d|2[0-3]",
    r"0?[1-9]|[12]\d|3[01]|l",
    rf"0?[1-9]|1[0-2]|{_MONTHS}",
    r"0?[0-7](#[1-5])?|sun|mon|tue|wed|thu|fri|sat",
)
SCHEDULE_PATTERN = rf"^(?i){' '.join(map(_cron_field, _CRON_FIELDS))}$"
_LETTERS = "lower-case letters, digits and _, a letter first"
PATTERNS = {
    CRON_PATTERN: "minute and hour once a day, such as '30 2 * * *'",
    CLOCK_PATTERN: "a time of day in quotes, such as '06:30'",
    SCHEDULE_PATTERN: "minute, hour, day, month and weekday, such as '0 3 * * 1'",
    FACTORY_PATTERN: "module:function that returns an unfitted pipeline, such as jobs.churn:build_pipeline",
    JOB_PATTERN: f"{_LETTERS}, at most {JOB_LETTERS}, for PostgreSQL has 63 for <job>_predictions_history_2013_04",
    SOURCE_PATTERN: f"{_LETTERS}, at most 40",
    COLUMN_PATTERN: f"the name of a column, 1 to {COLUMN_LETTERS} printable characters, no dot in front",
}
"""What a text must look like, in words, by the pattern that it must match."""
_REQUIRED = {
    "name": "the file's name without .yaml",
    "description": "what is predicted, in one sentence",
    "owner": "a team or person",
    "schedule": "timezone and first_night",
    "timezone": "one such as America/New_York",
    "first_night": "a day such as 2024-01-31",
    "source": "the name of a source database",
    "key": "key columns with their types, such as id: int",
    "features": "columns, such as age: {type: int}",
    "type": "float, int, bool, category or datetime",
    "task": "binary, multiclass, regression or score",
    "label": "the outcome, such as column: late",
    "column": "the column of labels.sql that holds the outcome",
    "pipeline": "a function that makes it, such as jobs.churn:build_pipeline",
}
"""What is expected of a missing key, by the last part of its path."""
_DAY = "a day such as 2024-01-31"
_MAPPING = "a mapping of names to values"
_KINDS = {
    "string_type": "text",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
    "string_unicode": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number that is not so large",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "date_type": _DAY,
    "date_parsing": _DAY,
    "date_from_datetime_parsing": _DAY,
    "date_from_datetime_inexact": "a day without a time, such as 2024-01-31",
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "mapping_type": _MAPPING,
    "list_type": "a list such as [a, b]",
    "tuple_type": "a list such as [1, 2]",
    "invalid_key": "text as a key",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    "recursion_loop": "no mapping inside itself",
    "path_type": "the path of a file or folder",
}
"""What value is expected, in words, by the type of pydantic's error."""
_QUOTES = {
    True: "in quotes, for YAML reads yes, on and true as true",
    False: "in quotes, for YAML reads no, off and false as false",
}


def problems(error: ValidationError, model: type[BaseModel], with_values: bool = True) -> Iterator[tuple[str, str]]:
    """Yield the dotted path and the sentence of every problem. Without ``with_values`` no value is shown, for secrets."""
    for item in error.errors(include_input=with_values, include_url=False):
        path = [str(part) for part in item["loc"] if part != "[key]"]
        yield ".".join(path), _sentence(path, {**item}, model, with_values)


def sentences(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return every problem of an error as ``path: found …, expected …``."""
    return [f"{path}: {sentence}" if path else sentence for path, sentence in problems(error, model)]


def nearest(name: str, names: Sequence[str]) -> str | None:
    """Return which of ``names`` was probably meant by ``name``, or None.

    >>> nearest("windw_days", ["window_days", "min_rows"])
    'window_days'
    """
    plain = re.sub(r"[\W_]+", "_", name).lower()
    alike = difflib.get_close_matches(plain, names, 1) or [
        candidate for candidate in names if plain in candidate.split("_")
    ]
    return alike[0] if len(alike) == 1 else None


def _sentence(path: Sequence[str], item: Mapping[str, Any], model: type[BaseModel], with_values: bool) -> str:
    kind, context = item["type"], item.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(path, model)
    if kind == "missing":
        return f"found nothing, expected {_REQUIRED.get(path[-1], 'a value') if path else 'a value'}"
    finding = f"found {in_words(item['input'])}" if with_values else "found a value that does not fit"
    if kind == "value_error":
        message = str(context["error"])
        return f"{finding}, {message}" if message.startswith("expected ") else message
    if kind == "string_pattern_mismatch":
        return f"{finding}, expected {PATTERNS.get(context['pattern'], 'text like ' + context['pattern'])}"
    expected = _KINDS[kind].format(**context) if kind in _KINDS else item["msg"].removeprefix("Input should be ")
    return f"{finding}, expected {expected}{_quotes(item) if with_values and kind == 'string_type' else ''}"


def _quotes(item: Mapping[str, Any]) -> str:
    """Return the advice to write a value in quotes, where YAML did not read it as text."""
    value = item["input"]
    if isinstance(value, bool):
        return f" {_QUOTES[value]}"
    return f" in quotes, '{value}'" if isinstance(value, int | float | date) else ""


def _unknown(path: Sequence[str], model: type[BaseModel]) -> str:
    """Return the sentence about a key that is not known at its place in the file."""
    level, name = _model_at(model, path[:-1]), path[-1]
    names = list(level.model_fields) if level else []
    meant = nearest(name, names)
    sections = {section for section, inner in _sections(model) if name in inner.model_fields and inner is not level}
    if sections and meant is None:
        return f"found an unknown key, expected it in {' or '.join(sorted(sections))}"
    if meant is None:
        elsewhere = {
            f"{section}.{similar}"
            for section, inner in _sections(model)
            if (similar := nearest(name, list(inner.model_fields))) is not None and len(name) > 3
        }
        meant = " or ".join(sorted(elsewhere)) or None
    if meant is not None:
        return f"found an unknown key; did you mean {meant}?"
    return f"found an unknown key, expected one of {', '.join(names)}"


def _sections(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the models inside a model by the names of their fields, and the model itself as the top level."""
    yield "the top level", model
    for name, field in model.model_fields.items():
        for inner in _models_in(field.annotation):
            yield name, inner


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _model_at(model: type[BaseModel], path: Sequence[str]) -> type[BaseModel] | None:
    """Return the model at a path, through mappings of models, whose keys are any names."""
    level: type[BaseModel] = model
    parts = iter(path)
    for part in parts:
        field = level.model_fields.get(part)
        inner = _models_in(field.annotation) if field is not None else []
        if field is None or not inner:
            return None
        level = inner[0]
        if get_origin(field.annotation) is dict:
            next(parts, None)
    return level


def in_words(value: Any) -> str:
    """Return a value in the words of the file, shortened.

    >>> in_words(False), in_words("a"), in_words({"a": 1}), in_words(None), in_words([1, None])
    ('false', "'a'", 'a mapping', 'nothing', '[1, nothing]')
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"[{', '.join(in_words(part) for part in value[:5])}{', …' if len(value) > 5 else ''}]"
    if isinstance(value, date):
        return str(value)
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… of {len(text)} characters"


class Strict(BaseModel):
    """Settings that are frozen and refuse unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
