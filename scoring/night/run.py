"""A whole night in one process: while a chunk is scored, the next is read and the one before is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import Queue

from scoring.night.chunk import Chunk, ChunkPredictions
from scoring.night.extract import OnChunk, extract
from scoring.night.publish import Loaded, Published, load_run, publish
from scoring.night.recording import recorded
from scoring.night.request import NightRequest
from scoring.night.score import load_version, score_rows
from scoring.progress import Progress, silent
from scoring.rows import warnings_of_threads
from scoring.stores import Workspace
from scoring.stores.warehouse import held, ledger, metered


def run_night(work: Workspace, request: NightRequest, progress: Progress = silent) -> Published:
    """Extract, score, load and publish one night without Airflow, holding the run's lock all the while.

    Raises ``NightNotOver`` before anything is written, unless the request says that an unfinished night is wanted.
    """
    run = (work.warehouse, request.run_id)
    with held(*run), metered(*run), warnings_of_threads():
        with _Lanes(work, request.run_id, progress) as lanes:
            extract(work, request, lanes.reading, progress)
            with recorded(work.stores, request.run_id):
                loaded = lanes.loaded()
        return publish(work, request.run_id, progress, loaded)


class _Lanes:
    """Threads that score and load the chunks of a night while it is read. The rows are loaded in one transaction.

    A few chunks are in memory at a time: reading waits for scoring, and scoring for loading.
    """

    def __init__(self, work: Workspace, run_id: str, progress: Progress) -> None:
        self._work, self._run_id, self._progress = work, run_id, progress
        threads = work.settings.threads
        self._scorers, self._loader = ThreadPoolExecutor(threads, "score"), ThreadPoolExecutor(1, "load")
        self._waiting = threads + 1
        self._loading: Future[Loaded] = Future()

    def __enter__(self) -> _Lanes:
        return self

    def __exit__(self, *error: object) -> None:
        self._scorers.shutdown()
        self._loader.shutdown()

    def loaded(self) -> Loaded:
        """Return what the last reading loaded. Raises the error of scoring or loading it."""
        return self._loading.result()

    @contextmanager
    def reading(self) -> Iterator[OnChunk]:
        """Give a function that takes the chunks of one reading of the night. An error rolls back what was loaded of it.

        A chunk that cannot be scored or loaded rolls it back too, but the reading goes on: what is on the lake is complete.
        """
        self._scorers.submit(load_version, self._work, self._run_id)  # while the source finds its first rows
        line = _Line(self._waiting)
        self._loading = self._loader.submit(self._load, line)

        def take(chunk: Chunk) -> None:
            line.put(self._scorers.submit(score_rows, self._work, self._run_id, chunk, self._progress))

        try:
            yield take
        except BaseException:  # raised again once the rows are rolled back
            line.end(cancelled=True)
            self._loading.exception()
            raise
        line.end()

    def _load(self, line: _Line) -> Loaded:
        with line.taking() as predictions:
            return load_run(self._work, ledger.get(self._work.warehouse, self._run_id), predictions, self._progress)


class _Line:
    """A line of chunks that are being scored, in order, with a place for a few of them."""

    def __init__(self, places: int) -> None:
        self._queue: Queue[Future[ChunkPredictions] | None] = Queue(places)

    def put(self, chunk: Future[ChunkPredictions]) -> None:
        """Wait for a place and take it."""
        self._queue.put(chunk)

    def end(self, cancelled: bool = False) -> None:
        """End the line. When it is ``cancelled``, whoever takes from it gets an error."""
        if cancelled:
            ended: Future[ChunkPredictions] = Future()
            ended.cancel()
            self._queue.put(ended)
        self._queue.put(None)

    @contextmanager
    def taking(self) -> Iterator[Iterator[ChunkPredictions]]:
        """Give the predictions of the chunks. After an error the rest of the line is scored, taken and thrown away."""
        futures = iter(self._queue.get, None)
        try:
            yield (future.result() for future in futures)
        except BaseException:  # raised again, once nobody waits for a place in the line any more
            for future in futures:
                with suppress(CancelledError):
                    future.exception()
            raise
