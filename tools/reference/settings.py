"""The page about settings, from the model that reads the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from scoring.settings import HOME, Settings
from tools.reference.fields import Documented, documented
from tools.reference.markdown import page, prose, table

INTRODUCTION = """\
Settings come from environment variables and, below them, from the file `nightshift.env` in the project's folder, which git
ignores. What is unset has the default: without any setting everything is embedded under `data/`. Values marked *secret* are
masked wherever settings are shown and taken out of errors, logs, the ledger and alerts. In the password of a URL
`@ : / ? # %` are written `%40 %3A %2F %3F %23 %25`."""


def settings() -> str:
    """Return the page: one section for an installation, one for each policy that its variables reach into."""
    parts: list[tuple[type[BaseModel], str]] = [(Settings, "NIGHTSHIFT_")]
    parts += [(type(value), f"NIGHTSHIFT_{name.upper()}__") for name, value in _nested(Settings)]
    return page("Settings", INTRODUCTION, [_section(model, prefix) for model, prefix in parts])


def _nested(model: type[BaseModel]) -> list[tuple[str, BaseModel]]:
    return [(name, field.default) for name, field in model.model_fields.items() if isinstance(field.default, BaseModel)]


def _section(model: type[BaseModel], prefix: str) -> str:
    rows = [
        (_variable(field, prefix), field.kind, field.default, field.meaning) for field in documented(model, _as_text)
    ]
    return f"## {model.__name__.removesuffix('Policy')}\n\n{prose(model.__doc__)}\n\n" + table(
        ("variable", "type", "default", "meaning"), rows
    )


def _variable(field: Documented, prefix: str) -> str:
    several = "__<NAME>" if field.kind.startswith("mapping") or field.default == "see there" else ""
    return f"`{prefix}{field.name.upper()}{several}`"


def _as_text(value: Any) -> str:
    """Return a default as text. Folders are given relative to the project's."""
    if isinstance(value, BaseModel):
        return "see there"
    if isinstance(value, Path):
        return "the project's folder" if value == HOME else f"`{value.relative_to(HOME)}`"
    if value in (None, {}):
        return "unset"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
