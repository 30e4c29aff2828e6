"""Takes texts out of sentences, JSON and pages."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

ERASED = "(erased)"
"""Stands where a text of an erased row stood."""


SHORTEST = 4
"""Characters that a text needs to be told from other words of a sentence. Shorter ones, and numbers, count by themselves only."""


@dataclass(frozen=True)
class Redaction:
    """Puts ``ERASED`` in place of texts: of a string of JSON, and, if they are long enough, of words in a sentence or page."""

    texts: Collection[str]

    @cached_property
    def _words(self) -> re.Pattern[str] | None:
        return _any_of({form for text in self._telling for form in (text, repr(text)[1:-1])})

    @cached_property
    def _in_pages(self) -> re.Pattern[str] | None:
        return _any_of({form for text in self._telling for form in (text, html.escape(text), json.dumps(text)[1:-1])})

    @property
    def _telling(self) -> list[str]:
        return [text for text in self.texts if len(text) >= SHORTEST and text.strip("+-.,0123456789")]

    def text(self, text: str) -> str:
        """Return a text without them.

        >>> Redaction({"C017", "5"}).text("segment id=C017 of C0170: 5 rows")
        'segment id=(erased) of C0170: 5 rows'
        """
        if text in self.texts:
            return ERASED
        return self._words.sub(ERASED, text) if self._words else text

    def value(self, value: Any) -> Any:
        """Return a value of JSON without them, in keys of objects too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(part) for part in value]
        if isinstance(value, dict):
            return {ERASED if name in self.texts else name: self.value(part) for name, part in value.items()}
        return value

    def page(self, page: str) -> str:
        """Return a page without them, written as they are or as HTML and JSON write them."""
        return self._in_pages.sub(ERASED, page) if self._in_pages else page

    def in_page(self, page: str) -> bool:
        """Return whether a page holds one of them."""
        return bool(self._in_pages and self._in_pages.search(page))

    def in_bytes(self, content: bytes) -> bool:
        """Return whether one of them is in a file of any form, in UTF-8."""
        return any(text.encode() in content for text in self.texts)


def _any_of(forms: set[str]) -> re.Pattern[str] | None:
    """Return what finds each of the forms as a word, or None without any."""
    longest_first = sorted(forms, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)") if forms else None
