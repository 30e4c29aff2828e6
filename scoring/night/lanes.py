"""Lanes on which chunks go side by side: while a chunk is scored, the next is read and the one before is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import Queue
from typing import Generic, TypeVar

from scoring.night.chunk import Chunk, ChunkPredictions
from scoring.night.extract import OnChunk
from scoring.night.score import load_version, score_rows
from scoring.progress import Progress
from scoring.stores import Workspace

Result = TypeVar("Result")


class Lanes(Generic[Result]):
    """Threads that score and load the chunks of a night while it is read. The rows are loaded in one transaction.

    A few chunks are in memory at a time: reading waits for scoring, and scoring for loading.
    """

    def __init__(
        self,
        work: Workspace,
        run_id: str,
        load: Callable[[Iterable[ChunkPredictions]], Result],
        progress: Progress,
        threads: int,
    ) -> None:
        """Score chunks of a run; ``load`` takes their predictions, and all of them or none are loaded when it returns."""
        self._work, self._run_id, self._load, self._progress = work, run_id, load, progress
        self._scorers, self._loader = ThreadPoolExecutor(threads, "score"), ThreadPoolExecutor(1, "load")
        self._waiting = threads + 1
        self._loading: Future[Result] = Future()

    def __enter__(self) -> Lanes[Result]:
        return self

    def __exit__(self, *error: object) -> None:
        self._scorers.shutdown()
        self._loader.shutdown()

    def loaded(self) -> Result:
        """Return what the last reading loaded. Raises the error of scoring or loading it."""
        return self._loading.result()

    @contextmanager
    def reading(self) -> Iterator[OnChunk]:
        """Give a function that takes the chunks of one reading of the night. An error rolls back what was loaded of it.

        A chunk that cannot be scored or loaded rolls it back too, but the reading goes on: what is on the lake is complete.
        """
        self._scorers.submit(load_version, self._work, self._run_id)  # while the source finds its first rows
        line = _Line(self._waiting)
        self._loading = self._loader.submit(self._load_line, line)

        def take(chunk: Chunk) -> None:
            line.put(self._scorers.submit(score_rows, self._work, self._run_id, chunk, self._progress))

        try:
            yield take
        except BaseException:  # raised again once the rows are rolled back
            line.end(cancelled=True)
            self._loading.exception()
            raise
        line.end()

    def _load_line(self, line: _Line) -> Result:
        with line.taking() as predictions:
            return self._load(predictions)


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
