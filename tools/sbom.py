"""The bill of materials (SBOM): every locked library with its licence, as CycloneDX JSON, and whether they are installed so."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Annotated, Any

import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scoring import __version__

LOCK = Path(__file__).resolve().parents[1] / "requirements.txt"
_OWN = {"nightshift", "pip", "setuptools", "wheel"}
"""What an environment may have that no lock names: this project, and what makes environments."""


def locked(text: str) -> dict[str, str]:
    """Return the versions that a lock gives for this Python and system, by normalised name."""
    lines = (line.split(" #")[0].strip() for line in text.splitlines())
    requirements = (Requirement(line) for line in lines if line and not line.startswith(("#", "-")))
    wanted = (each for each in requirements if each.marker is None or each.marker.evaluate())
    return {canonicalize_name(each.name): next(iter(each.specifier)).version for each in wanted}


def installed() -> dict[str, Distribution]:
    """Return what this environment has, by normalised name."""
    return {canonicalize_name(each.metadata["Name"]): each for each in distributions()}


def differences(wanted: dict[str, str], have: dict[str, str]) -> Iterator[str]:
    """Yield a sentence for every library that is missing, of another version, or not in the lock."""
    for name in sorted({*wanted, *have} - _OWN):
        if wanted.get(name) != have.get(name):
            yield f"{name}: {have.get(name, 'nothing')} installed, {wanted.get(name, 'nothing')} locked"


def document(wanted: dict[str, str], have: dict[str, Distribution]) -> dict[str, Any]:
    """Return the bill of materials. The same lock and environment give the same bytes: it has no time and no number."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "nightshift", "version": __version__}},
        "components": [_component(name, version, have.get(name)) for name, version in sorted(wanted.items())],
    }


def _component(name: str, version: str, found: Distribution | None) -> dict[str, Any]:
    address = f"pkg:pypi/{name}@{version}"
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": address,
        "name": name,
        "version": version,
        "purl": address,
    }
    licence = _licence(found) if found is not None else None
    return component | ({"licenses": [{"license": {"name": licence}}]} if licence else {})


def _licence(found: Distribution) -> str | None:
    """Return the licence that a library declares: its expression, its classifiers, or the first line of its text."""
    about = found.metadata
    named = [each.rpartition(" :: ")[2] for each in about.get_all("Classifier") or [] if each.startswith("License :: ")]
    for text in (*(about.get_all("License-Expression") or []), ", ".join(named), *(about.get_all("License") or [])):
        if text.strip():
            return re.split(r"[\r\n]", text.strip())[0][:200]
    return None


def main(
    target: Annotated[Path | None, typer.Argument(help="File to write; default: standard output.")] = None,
    check: Annotated[bool, typer.Option("--check", help="End with 1 if the environment is not as locked.")] = False,
) -> None:
    """Write the bill of materials of the locked libraries."""
    wanted, have = locked(LOCK.read_text(encoding="utf-8")), installed()
    text = json.dumps(document(wanted, have), indent=1) + "\n"
    if target is not None:
        target.write_text(text, encoding="utf-8")
    elif not check:
        sys.stdout.write(text)
    found = list(differences(wanted, {name: each.version for name, each in have.items()})) if check else []
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    typer.run(main)
