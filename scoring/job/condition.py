"""A condition on predictions, such as ``probability >= 0.5 and prediction = true``: read once, nothing of it is executed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Operator = Literal["<", "<=", ">", ">=", "=", "!="]
Value = bool | float | str
Kind = Literal["number", "bool", "text"]
"""What a column of predictions holds."""
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(?P<text>'(?:[^']|'')*')"""
    r"""|(?P<word>[A-Za-z_]\w*)|(?P<sign><=|>=|==|!=|<>|<|>|=|\(|\)))"""
)
_ALIKE: dict[str, Operator] = {"==": "=", "<>": "!="}
_MOST_DEEP = 20
"""Brackets inside each other."""
MOST_LETTERS = 500
"""Length of a condition, in characters."""


@dataclass(frozen=True)
class Comparison:
    """A column of the predictions against a value."""

    column: str
    operator: Operator
    value: Value


@dataclass(frozen=True)
class Both:
    """Two conditions, joined by ``and`` or ``or``."""

    how: Literal["and", "or"]
    first: Condition
    second: Condition


Condition = Comparison | Both


def condition_of(text: str, columns: Mapping[str, Kind]) -> Condition:
    """Return a condition on these columns. Raises ``ValueError`` that says where it cannot be read.

    >>> condition_of("probability >= 0.5", {"probability": "number"})
    Comparison(column='probability', operator='>=', value=0.5)
    """
    reader = _Reader(text, columns)
    condition = reader.either(0)
    if reader.kind != "end":
        raise reader.fault("and, or, or the end")
    return condition


class _Reader:
    """Reads a condition from left to right. ``and`` binds closer than ``or``."""

    def __init__(self, text: str, columns: Mapping[str, Kind]) -> None:
        self._text, self._columns, self._at = text, columns, 0
        self.kind, self.word = "", ""
        self._next()

    def _next(self) -> str:
        """Go to the next word, and return the one before."""
        before, rest = self.word, self._text[self._at :]
        match = _TOKEN.match(rest)
        if match is None:
            self.kind, self.word = ("unreadable" if rest.strip() else "end"), rest.strip()[:20]
            return before
        self.kind, self.word = str(match.lastgroup), match.group(str(match.lastgroup))
        self._at += match.end()
        return before

    def fault(self, expected: str) -> ValueError:
        """Return the error about the word that the reader is at."""
        found = f"{self.word!r} in {self._text!r}" if self.kind != "end" else f"the end of {self._text!r}"
        return ValueError(f"found {found}, expected {expected}")

    def either(self, depth: int) -> Condition:
        """Return what stands up to the end or a closing bracket."""
        condition = self._all(depth)
        while self.word.lower() == "or":
            self._next()
            condition = Both("or", condition, self._all(depth))
        return condition

    def _all(self, depth: int) -> Condition:
        condition = self._one(depth)
        while self.word.lower() == "and":
            self._next()
            condition = Both("and", condition, self._one(depth))
        return condition

    def _one(self, depth: int) -> Condition:
        if self.word == "(":
            if depth == _MOST_DEEP:
                raise self.fault(f"at most {_MOST_DEEP} brackets inside each other")
            self._next()
            condition = self.either(depth + 1)
            if self.word != ")":
                raise self.fault("a closing bracket")
            self._next()
            return condition
        return self._comparison()

    def _comparison(self) -> Condition:
        if self.kind != "word" or self.word not in self._columns:
            raise self.fault(f"one of {', '.join(self._columns)}")
        column = self._next()
        kind = self._columns[column]
        if self.kind != "sign" or self.word in "()":
            raise self.fault("one of <, <=, >, >=, =, !=")
        operator: Operator = _ALIKE.get(self.word, self.word)  # type: ignore[arg-type]  # all others are operators
        if kind != "number" and operator not in ("=", "!="):
            raise self.fault(f"= or !=, for {column} is no number")
        self._next()
        return Comparison(column, operator, self._value(column, kind))

    def _value(self, column: str, kind: Kind) -> Value:
        """Return the value that the reader is at."""
        if kind == "number" and self.kind == "number":
            return float(self._next())
        if kind == "bool" and self.word.lower() in ("true", "false"):
            return self._next().lower() == "true"
        if kind == "text" and self.kind == "text":
            return self._next()[1:-1].replace("''", "'")
        expected = {"number": "a number", "bool": "true or false", "text": "a class in single quotes"}
        raise self.fault(f"{expected[kind]} to compare {column} with")
