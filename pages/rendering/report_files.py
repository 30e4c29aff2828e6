"""Drift reports as the lake keeps them, made whole for the browser, and what one may do there."""

from __future__ import annotations

import re
from collections.abc import Callable

from pages.rendering.render import HTML, OUTWARD

_REPORT = re.compile(r"(?P<job>[a-z][a-z0-9_]{0,39})/night=\d{4}-\d{2}-\d{2}/drift\.html", re.ASCII)


_ASSET = re.compile(r"assets/evidently-[0-9a-f]{16}\.(?P<kind>js|css)", re.ASCII)


_TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}


REPORT_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "font-src data:; img-src data: blob:; " + OUTWARD
)
"""Evidently's page has scripts and styles in it. It holds what the data said, so it gets an origin of its own: even a
script that came in through a category's name can neither ask anything outside nor act as the person who looks."""


_REFERENCE = re.compile(
    r'<script src="\.\./\.\./(?P<script>assets/[^"]+)"></script>|<link rel="stylesheet" href="\.\./\.\./(?P<style>assets/[^"]+)">'
)


def whole_report(content: str, read: Callable[[str], str]) -> str:
    """Return an Evidently page with the files that it shares with others in it. ``read`` gives their content.

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
    """Return job and content type of a file below the lake's reports that may be served, or None for any other path.

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
