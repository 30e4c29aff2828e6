"""``python -m tools.screenshots``: pictures of the pages for the docs, by headless Chromium, after `make demo`.

The pages are rendered as the web application renders them, but for Airflow's frame and login around them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from pages import content, rendering
from pages.content import Places
from scoring.job import find_job
from scoring.settings import HOME, load_settings
from scoring.stores import Lake
from scoring.stores.warehouse import open_warehouse

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FOLDER = HOME / "docs" / "images"
WIDTH = 1100
"""Pixels: a page as a laptop shows it beside Airflow's navigation."""
HEIGHTS = {"overview": 560, "job": 1000, "night": 900, "column": 640, "version": 1000}
"""Pixels of each page from its top. Taller pictures would be small print in the docs."""
LARGEST = 200_000
"""Bytes: a picture that is committed stays below this."""


def views(read: Places, job: str, night: date, column: str, version: int) -> dict[str, dict[str, Any] | None]:
    """Return what each page shows, by the name of its template, or None for a page without anything to show."""
    return {
        "overview": content.overview_page(read, [job]),
        "job": content.job_page(read, job, None),
        "night": content.night_page(read, job, night),
        "column": content.column_page(read, job, column),
        "version": content.version_page(read, job, version),
    }


def take(browser: str, page: Path, picture: Path, height: int) -> None:
    """Let the browser open a file and write a picture of it."""
    trusted = ["--no-sandbox"] if os.geteuid() == 0 else []  # the sandbox does not start as root
    with tempfile.TemporaryDirectory(prefix="nightshift-browser-") as profile:
        subprocess.run(
            [
                browser,
                "--headless",
                "--disable-gpu",
                "--hide-scrollbars",
                f"--user-data-dir={profile}",
                *trusted,
                f"--window-size={WIDTH},{height}",
                f"--screenshot={picture}",
                page.as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )


def main(
    job: Annotated[str, typer.Option(help="A job with published nights.")] = "flight_delay",
    night: Annotated[str, typer.Option(help="The night of the page per night.")] = "2013-04-03",
    column: Annotated[str, typer.Option(help="The column of the page per column.")] = "dest",
    version: Annotated[int, typer.Option(help="A model version with a model card.")] = 1,
) -> None:
    """Write a picture of each page to docs/images. The exit code is 1 without a browser or with a picture that is too large."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"no browser: found none of {', '.join(BROWSERS)} on the path. Next: install chromium")
    settings = load_settings()
    read = Places(open_warehouse(settings), Lake(settings.lake_root), lambda name: find_job(settings.jobs_dir, name))
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="nightshift-pages-") as folder:
        for name, view in views(read, job, date.fromisoformat(night), column, version).items():
            if view is None:
                sys.exit(f"{name}: nothing to show of {job}. Next: make demo, or name another night, column or version")
            page = Path(folder) / f"{name}.html"
            page.write_text(rendering.render(name, "/nightshift", view), encoding="utf-8")
            take(browser, page, FOLDER / f"{name}.png", HEIGHTS[name])
    large = [path.name for path in FOLDER.glob("*.png") if path.stat().st_size > LARGEST]
    if large:
        sys.exit(f"{large}: larger than {LARGEST:,} bytes. Next: lower their height")


if __name__ == "__main__":
    typer.run(main)
