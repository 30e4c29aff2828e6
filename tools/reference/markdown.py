"""Markdown as the generated pages write it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MADE = "<!-- Made by `make docs`; edit what it is made from, not this page. -->"


def page(title: str, introduction: str, parts: Iterable[str]) -> str:
    """Return a whole page: title, a note that it is generated, an introduction and its parts."""
    return "\n\n".join([f"# {title}", MADE, introduction, *parts]) + "\n"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table. A bar inside a cell is escaped and a line break becomes a space.

    >>> print(table(("name", "type"), [("a", "x | y")]))
    | name | type |
    |---|---|
    | a | x \\| y |
    """
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    for row in rows:
        cells = (" ".join(cell.split()).replace("|", "\\|") for cell in row)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def prose(docstring: str | None) -> str:
    """Return a docstring as Markdown: double backticks become single ones, lines are joined within a paragraph.

    >>> prose('One ``word``\\nmore.\\n\\nNext.')
    'One `word` more.\\n\\nNext.'
    """
    paragraphs = re.split(r"\n\s*\n", (docstring or "").strip().replace("``", "`"))
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
