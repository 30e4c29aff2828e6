"""``python -m tools.release VERSION``: date the changelog's unreleased part and write the version where it stands."""

from __future__ import annotations

import re
import sys
from datetime import UTC, date, datetime
from pathlib import Path

from scoring.settings import HOME

UNRELEASED = "## Unreleased"
NUMBER = re.compile(r"\d+\.\d+\.\d+")
VERSIONS = {
    "pyproject.toml": re.compile(r'^version = "(.*)"$', re.MULTILINE),
    "docker-compose.yml": re.compile(r"^  image: nightshift:(.*)$", re.MULTILINE),
}
"""Files with the version of the project, and how it stands in each. The package reads pyproject.toml."""


class ReleaseError(Exception):
    """The repository is not ready to be released. The message says why and what to do."""


def dated(changelog: str, version: str, day: date) -> str:
    """Return the changelog with its unreleased part under ``version`` and ``day``, and an empty unreleased part above.

    >>> print(dated("# Changelog\\n\\n## Unreleased\\n\\n- A change.\\n", "0.2.0", date(2026, 12, 1)))
    # Changelog
    <BLANKLINE>
    ## Unreleased
    <BLANKLINE>
    ## 0.2.0 (2026-12-01)
    <BLANKLINE>
    - A change.
    <BLANKLINE>
    """
    if changelog.count(f"{UNRELEASED}\n") != 1:
        raise ReleaseError(f"CHANGELOG.md: expected the line {UNRELEASED!r} exactly once")
    before, after = changelog.split(f"{UNRELEASED}\n")
    entries = re.split(r"^## ", after, maxsplit=1, flags=re.MULTILINE)[0]
    if not re.search(r"^- ", entries, re.MULTILINE):
        raise ReleaseError(f"CHANGELOG.md: found no entry below {UNRELEASED!r}, expected what the release changes")
    if f"## {version} (" in after:
        raise ReleaseError(f"CHANGELOG.md: found {version} already; choose a later version")
    return f"{before}{UNRELEASED}\n\n## {version} ({day})\n\n{after.lstrip()}"


def renumbered(name: str, text: str, version: str) -> str:
    """Return a file of ``VERSIONS`` with ``version`` in place of its own, which must be an earlier one."""
    matches = list(VERSIONS[name].finditer(text))
    if len(matches) != 1:
        raise ReleaseError(f"{name}: found {len(matches)} versions, expected one")
    if _parts(version) <= _parts(matches[0][1]):
        raise ReleaseError(f"{name}: found version {matches[0][1]}, expected an earlier one than {version}")
    return text[: matches[0].start(1)] + version + text[matches[0].end(1) :]


def _parts(version: str) -> tuple[int, ...]:
    if not NUMBER.fullmatch(version):
        raise ReleaseError(f"version: found {version!r}, expected three numbers such as 0.2.0")
    return tuple(int(part) for part in version.split("."))


def release(home: Path, version: str, day: date) -> None:
    """Write changelog and versions below ``home``, but only if all of it can be written."""
    _parts(version)
    texts = {name: (home / name).read_text(encoding="utf-8") for name in ("CHANGELOG.md", *VERSIONS)}
    written = {"CHANGELOG.md": dated(texts["CHANGELOG.md"], version, day)}
    written |= {name: renumbered(name, texts[name], version) for name in VERSIONS}
    for name, text in written.items():
        (home / name).write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Release the version that is named and return the exit code."""
    if len(arguments) != 1:
        print("usage: make release VERSION=0.2.0", file=sys.stderr)
        return 2
    try:
        release(HOME, arguments[0], datetime.now(UTC).date())
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{arguments[0]} is written. Next: make test, then commit it and `git tag v{arguments[0]}`")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
