"""Drift pages and the backtest without an entity's values."""

from __future__ import annotations

from collections.abc import Collection

from drift.report import reported, write_report
from lifecycle.erasure.inventory import Inventory
from lifecycle.erasure.redaction import Redaction
from scoring.stores import Workspace
from scoring.stores.warehouse import Run, ledger

PAGES, BACKTESTS = "drift pages with a text of it (lake)", "backtests with a text of it (lake)"


def look_for_texts(work: Workspace, inventory: Inventory, redaction: Redaction) -> None:
    """Count the drift pages and backtests with a text of the entity."""
    inventory.add(PAGES, sum(redaction.in_page(page) for page in _pages(work, redaction).values()))
    inventory.add(BACKTESTS, len(_backtests(work, redaction)))


def redact(work: Workspace, redaction: Redaction) -> None:
    """Take the texts out of drift pages and backtests."""
    for path, page in _pages(work, redaction).items():
        if redaction.in_page(page):
            work.lake.write_text(path, redaction.page(page))
    for path in _backtests(work, redaction):
        work.lake.write_json(path, redaction.value(work.lake.read_json(path)))


def make_anew(work: Workspace, runs: Collection[Run]) -> None:
    """Make the drift pages of nights anew whose published run lost rows."""
    pages = work.lake.reports(work.job.name)
    published = {run.night: ledger.published(work.warehouse, work.job.name, run.night).get(run.night) for run in runs}
    reported(work, (run for run in runs if run.night in pages and published[run.night] == run.run_id), write_report)


def _pages(work: Workspace, redaction: Redaction) -> dict[str, str]:
    """Return the drift pages by path, none when there is no text to look for."""
    folders = work.lake.reports(work.job.name).values() if redaction.texts else ()
    return {path: work.lake.read_text(path) for folder in folders for path in [f"{folder}/drift.html"]}


def _backtests(work: Workspace, redaction: Redaction) -> list[str]:
    """Return the paths of the results of backtests that hold a text."""
    paths = work.lake.files(work.lake.below(f"backtests/{work.job.name}")) if redaction.texts else []
    return [path for path in paths if path.endswith(".json") and redaction.in_page(work.lake.read_text(path))]
