"""The bill of materials: what is locked, with its licence, and what an environment has besides or instead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.sbom import LOCK, differences, document, installed, locked, main

TEXT = """
# a comment
Some_Library==1.2.3
    # via another
other==2.0 ; python_version < '3.0'
third==3.0 ; python_version >= '3.0'
"""


def test_lock_gives_the_versions_for_this_python() -> None:
    assert locked(TEXT) == {"some-library": "1.2.3", "third": "3.0"}


def test_document_names_every_locked_library_with_its_licence(tmp_path: Path) -> None:
    main(tmp_path / "sbom.json")
    made = json.loads((tmp_path / "sbom.json").read_text())
    wanted = locked(LOCK.read_text())
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.5")
    assert {each["purl"] for each in made["components"]} == {
        f"pkg:pypi/{name}@{version}" for name, version in wanted.items()
    }
    assert len({each["bom-ref"] for each in made["components"]}) == len(wanted) > 200
    (pandas,) = (each for each in made["components"] if each["name"] == "pandas")
    assert "BSD" in pandas["licenses"][0]["license"]["name"]
    assert made == document(wanted, installed())


def test_difference_between_lock_and_environment_is_said() -> None:
    wanted, have = {"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4", "pip": "26"}
    assert list(differences(wanted, have)) == ["b: 3 installed, 2 locked", "c: 4 installed, nothing locked"]


def test_check_ends_with_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.sbom.installed", dict)
    with pytest.raises(SystemExit, match="pandas: nothing installed"):
        main(None, check=True)
