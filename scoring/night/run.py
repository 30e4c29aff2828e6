"""A whole night in one process: while a chunk is scored, the next is read and the one before is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from queue import Queue

from scoring.night.extract import extract
from scoring.night.publish import Loaded, Published, load_run, publish
from scoring.night.recording import recorded
from scoring.night.request import NightRequest
from scoring.night.score import score_chunk
from scoring.progress import Progress, silent
from scoring.rows import warnings_of_threads
from scoring.stores import Workspace
from scoring.stores.warehouse import held, ledger

_ChunkQueue = Queue[tuple[int, Future[int]] | None]
"""Numbers of a run's chunks in order, each with the future of its scoring. ``None`` ends the queue."""


def run_night(work: Workspace, request: NightRequest, progress: Progress = silent) -> Published:
    """Extract, score, load and publish one night without Airflow, holding the run's lock all the while.

    Raises ``NightNotOver`` before anything is written, unless the request says that an unfinished night is wanted.
    """
    with held(work.warehouse, request.run_id):
        return _run_night(work, request, progress)


def _run_night(work: Workspace, request: NightRequest, progress: Progress) -> Published:
    """Extract, score and load the chunks side by side, then publish the night.

    The rows are loaded in one transaction. A chunk that cannot be scored rolls it back, and its error is the one raised.
    """
    scoring: list[Future[int]] = []
    chunks: _ChunkQueue = Queue()
    with (
        warnings_of_threads(),
        ThreadPoolExecutor(1, "load") as loader,
        ThreadPoolExecutor(work.settings.score_threads, "score") as scorers,
    ):

        def submit(number: int) -> None:
            scoring.append(scorers.submit(score_chunk, work, request.run_id, number, progress))
            chunks.put((number, scoring[-1]))

        with _ending(chunks):
            loading = loader.submit(_load_scored, work, request.run_id, chunks, progress)
            extract(work, request, submit, progress)
        for future in scoring:
            future.result()
        with recorded(work.stores, request.run_id):
            loaded = loading.result()
    return publish(work, request.run_id, progress, loaded)


@contextmanager
def _ending(chunks: _ChunkQueue) -> Iterator[None]:
    """Always end the queue: on success with ``None``, on an error with a cancelled future, which makes the loader roll back."""
    try:
        yield
    except BaseException:  # raised again once the loader knows
        cancelled: Future[int] = Future()
        cancelled.cancel()
        chunks.put((-1, cancelled))
        raise
    chunks.put(None)


def _load_scored(work: Workspace, run_id: str, chunks: _ChunkQueue, progress: Progress) -> Loaded:
    numbers = _scored(chunks)
    first = next(numbers)  # from here on the run is in the ledger
    return load_run(work, ledger.get(work.warehouse, run_id), chain([first], numbers), progress)


def _scored(chunks: _ChunkQueue) -> Iterator[int]:
    """Yield the number of each chunk once it is scored. Raises the error of its scoring."""
    while (chunk := chunks.get()) is not None:
        number, scoring = chunk
        scoring.result()
        yield number
