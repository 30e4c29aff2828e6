"""docker-compose.yml as data: services with their variables filled in, as ``docker compose config`` would print them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from scoring.settings import HOME

FILE = HOME / "docker-compose.yml"
VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


class MissingVariable(Exception):
    """A variable that the file requires is unset or empty."""


@dataclass(frozen=True)
class Service:
    """What the compose file says about one service."""

    name: str
    command: list[str]
    environment: dict[str, str]
    volumes: list[str]
    depends_on: dict[str, str]
    """The condition on each service that has to come first."""
    health: list[str] | None
    patience: float
    """Seconds after which a service that is still not healthy counts as broken: start period and all retries."""
    ours: bool
    """Whether it runs in the project's own image."""
    one_shot: bool
    hostname: str
    secrets: tuple[str, ...] = ()
    profiles: tuple[str, ...] = field(default=())


def substituted(content: Any, variables: Mapping[str, str]) -> Any:
    """Return a value of the file with ``${NAME:?…}`` and ``${NAME:-…}`` filled in; ``$$`` is a dollar sign.

    >>> substituted(["${A:-x}", {"a": "$$HOME ${B:?see}"}], {"B": "b"})
    ['x', {'a': '$HOME b'}]
    """
    if isinstance(content, dict):
        return {key: substituted(value, variables) for key, value in content.items()}
    if isinstance(content, list):
        return [substituted(value, variables) for value in content]
    return VARIABLE.sub(lambda match: _value(match, variables), content) if isinstance(content, str) else content


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    if match[0] == "$$":
        return "$"
    value = variables.get(match["name"], "")
    if not value and match["kind"] == "?":
        raise MissingVariable(f"{match['name']}: {match['rest']}")
    return value or (match["rest"] if match["kind"] == "-" else "") or ""


def seconds(text: str) -> float:
    """Return a duration of the compose file in seconds.

    >>> seconds("1m30s"), seconds("10s")
    (90.0, 10.0)
    """
    units = {"h": 3600.0, "m": 60.0, "s": 1.0}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)([hms])", text))


def services(variables: Mapping[str, str], profiles: frozenset[str] = frozenset(), file: Path = FILE) -> list[Service]:
    """Return the services of the file, those of the named profiles too. Raises ``MissingVariable``."""
    content = substituted(yaml.safe_load(file.read_text(encoding="utf-8")), variables)
    every = [_service(name, about) for name, about in content["services"].items()]
    return [service for service in every if not service.profiles or set(service.profiles) & profiles]


def _service(name: str, about: dict[str, Any]) -> Service:
    check = about.get("healthcheck", {})
    return Service(
        name=name,
        command=[str(word) for word in about.get("command", [])],
        environment={key: str(value) for key, value in about.get("environment", {}).items()},
        volumes=list(about.get("volumes", [])),
        depends_on={other: wanted["condition"] for other, wanted in about.get("depends_on", {}).items()},
        health=check.get("test"),
        patience=seconds(check.get("start_period", "0s"))
        + check.get("retries", 0) * (seconds(check.get("interval", "0s")) + seconds(check.get("timeout", "0s"))),
        ours="build" in about,
        one_shot=about.get("restart") == "no",
        hostname=about.get("hostname", name),
        secrets=tuple(about.get("secrets", [])),
        profiles=tuple(about.get("profiles", [])),
    )


def image_environment() -> dict[str, str]:
    """Return the variables that the Dockerfile gives every process of the project's own image."""
    text = (HOME / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    last = re.findall(r"^ENV (PATH=.*)$", text, flags=re.MULTILINE)[-1]
    return dict(pair.split("=", 1) for pair in last.split())
