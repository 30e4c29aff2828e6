"""The page about job files, from the model that validates them."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import BaseModel

from scoring.job import Job
from tools.reference.fields import documented, models_in, title_of
from tools.reference.markdown import page, prose, table

INTRODUCTION = """\
Every key of `jobs/<job>.yaml`. A key that is not listed here is an error, and so is a value of another type; the message
names the file, the path in the file, what was found and what was expected. `nightshift check <job>` says so without
running anything. How to write a first file: [ML engineer](../people/ml-engineer.md)."""


def job_file() -> str:
    """Return the page: one section for each part of a job file."""
    return page("Job file", INTRODUCTION, [_section(model) for model in models_in(Job)])


def _section(model: type[BaseModel]) -> str:
    rows = [(f"`{field.name}`", field.kind, field.default, field.meaning) for field in documented(model, _as_yaml)]
    return f"## {title_of(model)}\n\n{prose(model.__doc__)}\n\n" + table(("key", "type", "default", "meaning"), rows)


def _as_yaml(value: Any) -> str:
    """Return a default as YAML writes it on one line. A part that has defaults of its own is `see there`."""
    if isinstance(value, BaseModel):
        return "see there"
    if isinstance(value, tuple):
        value = list(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=200).removesuffix("...\n").strip()
    return f"`{text}`"
