"""Nightly batch scoring: extract, score, publish, exactly once per night."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path


def _version() -> str:
    """Return the version that pyproject.toml gives, or that of the installed package where there is no such file."""
    project = Path(__file__).resolve().parent.parent / "pyproject.toml"
    try:
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    except FileNotFoundError:
        return metadata.version("nightshift")


__version__ = _version()
