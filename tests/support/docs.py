"""What the README and the pages hold: blocks of code with their marks, commands in running text, links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline

from jobs.flights import BOOSTING, coded
from scoring.settings import HOME

PAGES = [HOME / "README.md", HOME / "CONTRIBUTING.md", HOME / "SECURITY.md", *sorted((HOME / "docs").rglob("*.md"))]
SHELL = ("console", "bash", "sh", "shell")
MARK = re.compile(r"<!-- not run: (?P<reason>.+?) -->")
FENCE = re.compile(r"^(?P<fence>`{3,})(?P<language>\w*)\n(?P<text>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]\n]*\]\((?P<target>[^)\s]+)\)")
INLINE = re.compile(r"`(nightshift(?: [^`]+)?)`")
"""A command in running text, perhaps broken over two lines."""


@dataclass(frozen=True)
class Block:
    """One fenced block: where it stands, its language and text, and why it is not run if it is not."""

    page: Path
    line: int
    language: str
    text: str
    not_run: str | None

    @property
    def place(self) -> str:
        """Return page and line, for a failure."""
        return f"{self.page.relative_to(HOME)}:{self.line}"

    @property
    def script(self) -> str:
        """Return what a shell is given: of a console block the lines behind the prompt."""
        if self.language != "console":
            return self.text
        return "".join(line.removeprefix("$ ") for line in self.text.splitlines(keepends=True) if line.startswith("$ "))

    def commands(self, program: str) -> list[list[str]]:
        """Return the words of every line that calls ``program``, without its name."""
        lines = [
            shlex.split(line, comments=True) for line in self.script.splitlines() if line.startswith(f"{program} ")
        ]
        return [words[1:] for words in lines]


def blocks_of(page: Path, text: str | None = None) -> Iterator[Block]:
    """Yield the fenced blocks of a page (or of ``text`` in its place)."""
    text = page.read_text(encoding="utf-8") if text is None else text
    for match in FENCE.finditer(text):
        above = text[: match.start()].rstrip().splitlines()[-1:]
        mark = MARK.fullmatch(above[0]) if above else None
        line = text.count("\n", 0, match.start()) + 1
        yield Block(page, line, match["language"], match["text"], mark["reason"] if mark else None)


def shell_blocks() -> list[Block]:
    """Return every block of shell on every page."""
    return [block for page in PAGES for block in blocks_of(page) if block.language in SHELL]


def prose_of(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that a page's headings have, on GitHub and on the site."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def build_few_trees() -> Pipeline:
    """Return the pipeline of ``flight_delay`` with five trees, which are fitted in a moment."""
    return coded(HistGradientBoostingClassifier(**{**BOOSTING, "max_iter": 5}))
