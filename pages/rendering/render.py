"""Content → HTML pages: the templates, and what a browser may do with a page."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pages.plots import QUALITY, STATES
from pages.rendering.numbers import (
    distance,
    duration,
    figures,
    instant,
    moment,
    number,
    rows,
    segment,
    share,
    signed,
    whole,
)

_TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
OUTWARD = "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
HTML = "text/html; charset=utf-8"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {
        "decimal": number,
        "percent": share,
        "count": whole,
        "rows": rows,
        "distance": distance,
        "moment": moment,
        "segment": segment,
        "instant": instant,
        "signed": signed,
        "figures": figures,
        "duration": duration,
    }
    environment.globals |= {"states": STATES, "qualities": QUALITY}
    environment.globals |= {"style": _style(), "file_policy": file_policy()}
    return environment


@cache
def _style() -> str:
    return (_TEMPLATES / "style.css").read_text(encoding="utf-8")


@cache
def page_policy() -> str:
    """Return the Content-Security-Policy of our own pages: their one style sheet and nothing else, no script at all."""
    return f"{file_policy()}; {OUTWARD}"


@cache
def file_policy() -> str:
    """Return the part of the policy that a page can state itself, for a page that is opened as a file."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'"


def render(template: str, home: str, view: dict[str, Any]) -> str:
    """Return a page. ``home`` is the URL path of the pages, such as ``/nightshift``."""
    places = {"home": home, "airflow": home.removesuffix("/nightshift"), "framed": False}
    return _environment().get_template(f"{template}.html").render({**places, **view})
