"""``python -m tools.reference``: write the generated pages anew."""

from __future__ import annotations

import tempfile
from pathlib import Path

from scoring.job import Job, find_job
from scoring.settings import HOME, Settings
from scoring.stores import embedded
from scoring.stores.warehouse import ensure_requests, migrate, open_warehouse
from tools.reference.commands import commands
from tools.reference.errors import errors_page
from tools.reference.job_file import job_file
from tools.reference.settings import settings
from tools.reference.warehouse import warehouse

FOLDER = HOME / "docs" / "reference"
PAGES = {"job-file": job_file, "settings": settings, "commands": commands, "errors": errors_page}
"""Pages that need no database, by the name of their file."""
EXAMPLE = "flight_delay"
"""The job whose tables stand for every job's on the page about the warehouse."""


def main() -> None:
    """Write every page of the reference. The warehouse's comes from an embedded database made for it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, written in {**{name: make() for name, make in PAGES.items()}, "warehouse": _warehouse()}.items():
        (FOLDER / f"{name}.md").write_text(written, encoding="utf-8")


def _warehouse() -> str:
    with tempfile.TemporaryDirectory(prefix="nightshift-docs-") as folder:
        installation = Settings(data_dir=Path(folder), warehouse_url=None, sources={})
        store = open_warehouse(installation)
        try:
            migrate(store)
            job = example_job()
            ensure_requests(store, job)
            return warehouse(store, job)
        finally:
            store.engine.dispose()
            embedded.stop(installation.postgres_dir)


def example_job() -> Job:
    """Return the example with everything on that makes tables."""
    content = find_job(HOME / "jobs", EXAMPLE).model_dump(mode="json", exclude_unset=True)
    return Job.model_validate({**content, "reasons": {}})


if __name__ == "__main__":
    main()
