"""View models → HTML pages: the templates, how numbers are written, and what a browser may do with a page."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from drift.verdict.distance import SHAPE, SHIFT
from pages.plots.calendar import STATES

_TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
_REPORT = re.compile(r"(?P<job>[a-z][a-z0-9_]{0,39})/night=\d{4}-\d{2}-\d{2}/drift\.html", re.ASCII)
_ASSET = re.compile(r"assets/evidently-[0-9a-f]{16}\.(?P<kind>js|css)", re.ASCII)
_TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
_OUTWARD = "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
REPORT_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "font-src data:; img-src data: blob:; " + _OUTWARD
)
"""Evidently's page has scripts and styles in it. It holds what the data said, so it gets an origin of its own: even a
script that came in through a category's name can neither ask anything outside nor act as the person who looks."""
_REFERENCE = re.compile(
    r'<script src="\.\./\.\./(?P<script>assets/[^"]+)"></script>|<link rel="stylesheet" href="\.\./\.\./(?P<style>assets/[^"]+)">'
)
HTML = "text/html; charset=utf-8"


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
    """Return a distance with its unit; the shape's has none, from 0 to 1.

    >>> distance(0.5, "shape"), distance(0.5, "shift"), distance(0.5, "nulls")
    ('0.500', '0.50 sd', '50.00 %')
    """
    if signal == SHAPE:
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


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    made.filters |= {
        "decimal": number, "percent": share, "count": whole, "rows": rows, "distance": distance, "moment": moment,
        "segment": segment, "instant": instant, "signed": signed, "figures": figures, "duration": duration,
    }  # fmt: skip
    made.globals["states"] = STATES
    made.globals |= {"style": _style(), "file_policy": file_policy()}
    return made


@cache
def _style() -> str:
    return (_TEMPLATES / "style.css").read_text(encoding="utf-8")


@cache
def page_policy() -> str:
    """Return the Content-Security-Policy of our own pages: their one style sheet and nothing else, no script at all."""
    return f"{file_policy()}; {_OUTWARD}"


@cache
def file_policy() -> str:
    """Return what of the policy a page can say of itself, for one that is opened as a file."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'"


def render(template: str, home: str, view: dict[str, Any]) -> str:
    """Return a page; ``home`` is the URL path of the pages, such as ``/nightshift``."""
    places = {"home": home, "airflow": home.removesuffix("/nightshift"), "framed": False}
    return _environment().get_template(f"{template}.html").render({**places, **view})


def whole_report(content: str, read: Callable[[str], str]) -> str:
    """Return an Evidently page with the files that it shares with others in it; ``read`` gives their content.

    A page with an origin of its own sends no login with what it asks for, so it must not have to ask.
    """

    def filled(part: re.Match[str]) -> str:
        path = part["script"] or part["style"]
        if report_file(path) is None:
            return part[0]
        kind = "script" if part["script"] else "style"
        return f"<{kind}>{read(path)}</{kind}>"

    return _REFERENCE.sub(filled, content)


def report_file(path: str) -> tuple[str | None, str] | None:
    """Return job and content type of a file below the lake's reports that may be served; None for any other path.

    An asset belongs to no job: it is a part of Evidently, without data.

    >>> report_file("flight_delay/night=2013-04-01/drift.html")
    ('flight_delay', 'text/html; charset=utf-8')
    >>> report_file("assets/evidently-03c16c19b004a3b2.css")
    (None, 'text/css; charset=utf-8')
    >>> report_file("flight_delay/../../runs/run.json")
    """
    page, asset = _REPORT.fullmatch(path), _ASSET.fullmatch(path)
    if page:
        return page["job"], HTML
    return (None, _TYPES[asset["kind"]]) if asset else None
