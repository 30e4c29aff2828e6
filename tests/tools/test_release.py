"""A release: what it writes, and what it refuses without writing anything."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from scoring import __version__
from scoring.settings import HOME
from tools.release import VERSIONS, ReleaseError, dated, main, release, renumbered

DAY = date(2026, 12, 1)
CHANGELOG = "# Changelog\n\n## Unreleased\n\n### Added\n- A door.\n\n## 0.1.0 (2026-01-01)\n\n- All of it.\n"
LATER = "99.0.0"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with the repository's files that a release writes."""
    for name in VERSIONS:
        shutil.copy(HOME / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


def contents(home: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in home.iterdir()}


def test_release_dates_the_changelog(home: Path):
    release(home, LATER, DAY)
    lines = (home / "CHANGELOG.md").read_text().splitlines()
    assert lines[2:6] == ["## Unreleased", "", f"## {LATER} (2026-12-01)", ""]
    assert lines[6:] == CHANGELOG.splitlines()[4:]


@pytest.mark.parametrize("name", VERSIONS)
def test_release_writes_the_version_in_every_file(home: Path, name: str):
    release(home, LATER, DAY)
    assert VERSIONS[name].findall((home / name).read_text()) == [LATER]


@pytest.mark.parametrize("version", ["0.0.9", "1.0", "v9.0.0", "9.0.0rc1", ""])
def test_release_of_no_later_version_writes_nothing(home: Path, version: str):
    before = contents(home)
    with pytest.raises(ReleaseError):
        release(home, version, DAY)
    assert contents(home) == before


@pytest.mark.parametrize(
    "changelog",
    [
        CHANGELOG.replace("- A door.\n", ""),
        CHANGELOG.replace("## Unreleased", "## Next"),
        CHANGELOG.replace("## 0.1.0", "## Unreleased\n\n## 0.1.0"),
        CHANGELOG.replace("0.1.0 (", f"{LATER} ("),
    ],
    ids=["no entry", "no unreleased part", "two unreleased parts", "released already"],
)
def test_release_of_an_unfit_changelog_writes_nothing(home: Path, changelog: str):
    (home / "CHANGELOG.md").write_text(changelog)
    before = contents(home)
    with pytest.raises(ReleaseError, match="CHANGELOG"):
        release(home, LATER, DAY)
    assert contents(home) == before


def test_a_file_with_two_versions_is_refused():
    with pytest.raises(ReleaseError, match="found 2 versions"):
        renumbered("pyproject.toml", 'version = "0.1.0"\n' * 2, LATER)


def test_version_is_written_alike_everywhere():
    stated = {name: pattern.findall((HOME / name).read_text()) for name, pattern in VERSIONS.items()}
    assert stated == {name: [__version__] for name in VERSIONS}


def test_the_changelog_can_be_dated():
    assert f"## {LATER} (2026-12-01)" in dated((HOME / "CHANGELOG.md").read_text(), LATER, DAY)


def test_no_version_is_a_mistake_of_the_command_line(capsys: pytest.CaptureFixture[str]):
    assert main([]) == 2
    assert "make release VERSION=" in capsys.readouterr().err
