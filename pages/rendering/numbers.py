"""How numbers, moments and addresses are written on the pages."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from urllib.parse import quote

from drift.verdict import SCALE, SHAPE, SHIFT


def number(value: float | None, digits: int = 4) -> str:
    """Return a number with so many decimals.

    >>> number(-0.00001), number(1234.5, 1), number(None)
    ('0.0000', '1,234.5', '–')
    """
    return "–" if value is None else f"{round(value, digits) + 0.0:,.{digits}f}"


def share(value: float | None) -> str:
    """Return a share in percent.

    >>> share(0.1234), share(None)
    ('12.3 %', '–')
    """
    return "–" if value is None else f"{100 * value:.1f} %"


def whole(value: float | None) -> str:
    """Return a number without decimals.

    >>> whole(1234)
    '1,234'
    """
    return "–" if value is None else f"{value:,.0f}"


def rows(value: int | None) -> str:
    """Return how many rows, with the unit.

    >>> rows(1), rows(1234), rows(None)
    ('1 row', '1,234 rows', 'not counted')
    """
    return "not counted" if value is None else f"{value:,} row{'' if value == 1 else 's'}"


def distance(value: float, signal: str) -> str:
    """Return a distance with its unit. The shape's has none, from 0 to 1, nor has the logarithm of a factor.

    >>> distance(0.5, "shape"), distance(0.5, "shift"), distance(0.5, "nulls")
    ('0.500', '0.50 sd', '50.00 %')
    """
    if signal in (SHAPE, SCALE):
        return f"{value:.3f}"
    return f"{value:.2f} sd" if signal == SHIFT else f"{100 * value:.2f} %"


def signed(value: float | None, digits: int = 4) -> str:
    """Return a number with its sign and so many decimals.

    >>> signed(0.5, 2), signed(-0.00001), signed(None)
    ('+0.50', '0.0000', '–')
    """
    if value is None:
        return "–"
    rounded = round(value, digits) + 0.0
    return f"{rounded:+,.{digits}f}" if rounded else f"{0:.{digits}f}"


def figures(value: float | None) -> str:
    """Return a number with three figures that count.

    >>> figures(0.00304), figures(1.5), figures(12345.6), figures(None)
    ('0.00304', '1.50', '12,346', '–')
    """
    if value is None:
        return "–"
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{max(digits, 0)}f}"


def duration(seconds: float | None) -> str:
    """Return how long something took, in its two largest units.

    >>> duration(7.4), duration(75), duration(3 * 3600 + 60), duration(90_000), duration(None)
    ('7 s', '1 min 15 s', '3 h 1 min', '1 d 1 h', '–')
    """
    if seconds is None:
        return "–"
    left = round(seconds)
    parts: list[str] = []
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (name == "s" and not parts):
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])


def moment(value: datetime) -> str:
    """Return a point in time to the minute, in UTC."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def instant(value: str) -> str:
    """Return a point in time, written as JSON has it, to the minute, in UTC.

    >>> instant("2024-01-07T02:03:04+02:00")
    '2024-01-07 00:03'
    """
    return moment(datetime.fromisoformat(value))


def segment(value: str) -> str:
    """Return a text as one part of a URL's path.

    >>> segment("scheduled__2024-01-01T00:00:00+00:00")
    'scheduled__2024-01-01T00%3A00%3A00%2B00%3A00'
    """
    return quote(value, safe="")
