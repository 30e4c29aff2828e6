"""How the templates are written: a line holds one tag with its content, so that a change can be read as a diff."""

from __future__ import annotations

import re

from scoring.settings import HOME

LONGEST = 160
"""Characters of a line."""
BLOCK = re.compile(
    r"<(?:article|caption|dd|details|div|dl|dt|figcaption|figure|h[1-6]|header|li|main|nav|ol|p|section|summary|"
    r"table|tbody|td|th|thead|tr|ul)[\s>]"
)
"""A tag that is no part of a sentence; links and emphasis stand within a line."""
TEMPLATES = sorted((HOME / "pages/templates").glob("*.html"))


def test_no_line_is_longer_than_a_screen() -> None:
    assert TEMPLATES
    long = [
        f"{path.name}:{number}: {len(line)} characters"
        for path in TEMPLATES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > LONGEST
    ]
    assert long == []


def test_a_line_opens_one_tag() -> None:
    crowded = [
        f"{path.name}:{number}: {line.strip()}"
        for path in TEMPLATES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(BLOCK.findall(line)) > 1
    ]
    assert crowded == []
