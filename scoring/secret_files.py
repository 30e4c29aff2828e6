"""Secrets that lie in files, as Docker and Kubernetes give them: ``{name}`` stands for what the file ``name`` holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from scoring.errors import SettingsError

FILLED = (
    "sources",
    "warehouse_url",
    "analyst_url",
    "registry_url",
    "artifacts_url",
    "lake_url",
    "alert_urls",
    "metrics_token",
)
"""The settings in which ``{name}`` stands for a secret file."""
_PLACE = re.compile(r"\{(\w+)\}")


def with_secrets(value: Any, folder: Path) -> Any:
    """Return a setting in which each ``{name}`` is the content of a file in ``folder``, quoted as URLs ask for it.

    A setting that is nothing but ``{name}`` is the content as it is: a token, or a whole URL.

    Raises ``SettingsError`` when a file is missing or empty.
    """
    if isinstance(value, dict):
        return {name: with_secrets(part, folder) for name, part in value.items()}
    if isinstance(value, SecretStr):
        return SecretStr(with_secrets(value.get_secret_value(), folder))
    if isinstance(value, str):
        if whole := _PLACE.fullmatch(value):
            return _secret(folder / whole[1])
        return _PLACE.sub(lambda place: quote(_secret(folder / place[1]), safe=""), value)
    return value


def _secret(file: Path) -> str:
    """Return what a file holds, without the line's end."""
    try:
        content = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise _problem(file, f"it cannot be read ({reason})") from None
    if not content:
        raise _problem(file, "it is empty")
    return content


def _problem(file: Path, what: str) -> SettingsError:
    return SettingsError(
        f"secret file {file}",
        found=what,
        expected="a file with the secret, readable by this user",
        next_step="write it, or correct NIGHTSHIFT_SECRETS_DIR or the {name} in the URL",
    )
