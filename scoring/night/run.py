"""A whole night in one process."""

from __future__ import annotations

from collections.abc import Iterable

from scoring.night.chunk import ChunkPredictions
from scoring.night.extract import extract
from scoring.night.lanes import Lanes
from scoring.night.loaded import Loaded
from scoring.night.publish import Published, load_run, publish
from scoring.night.recording import recorded
from scoring.night.request import NightRequest
from scoring.progress import Progress, silent
from scoring.rows import warnings_of_threads
from scoring.stores import Workspace
from scoring.stores.warehouse import held, ledger, metered


def run_night(work: Workspace, request: NightRequest, progress: Progress = silent) -> Published:
    """Extract, score, load and publish one night without Airflow, holding the run's lock all the while.

    Raises ``NightNotOver`` before anything is written, unless the request says that an unfinished night is wanted.
    """

    def load(predictions: Iterable[ChunkPredictions]) -> Loaded:
        return load_run(work, ledger.get(work.warehouse, request.run_id), predictions, progress)

    run = (work.warehouse, request.run_id)
    with held(*run, work.job.name), metered(*run), warnings_of_threads():
        with Lanes(work, request.run_id, load, progress, work.settings.threads) as lanes:
            extract(work, request, lanes.reading, progress)
            with recorded(work.stores, request.run_id):
                loaded = lanes.loaded()
        return publish(work, request.run_id, progress, loaded)
