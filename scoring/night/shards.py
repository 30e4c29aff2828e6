"""A night that tasks share: each reads its chunks where they lie, scores them and loads them, whatever the others do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from time import monotonic

import pyarrow as pa

from scoring.errors import KeysRepeat, ReconciliationError
from scoring.interval import DataInterval
from scoring.night.chunk import Chunk, ChunkPredictions, write_chunk
from scoring.night.counts import Counts
from scoring.night.lanes import Lanes
from scoring.night.loaded import Loaded, digested
from scoring.night.recording import recorded
from scoring.night.score import score_chunk
from scoring.progress import Progress, silent
from scoring.rows import Contract, RowsDigest, warnings_of_threads
from scoring.stores import RunFolder, Workspace, ahead
from scoring.stores.source import AnyStage, part_of, read_stage
from scoring.stores.warehouse import LoadedChunk, Run, count_rows, ledger, load_chunks, loaded_chunks, worked_on


def score_chunks(work: Workspace, run_id: str, chunks: Iterable[int], progress: Progress = silent) -> int:
    """Score some chunks of a run, and load them if tasks share the run. Return how many rows were scored.

    Chunks that are loaded are left: a task that is tried again goes on behind its last transaction.
    """
    run = worked_on(work.warehouse, run_id, work.job.name)
    if run.shards is None:
        return sum(score_chunk(work, run_id, number, progress) for number in chunks)
    ledger.require_files(run)
    numbers = _left(work, run, chunks)
    if not numbers:
        return 0
    shard = _Shard(work, run, numbers, progress)
    with recorded(work.stores, run_id), warnings_of_threads():
        return shard.score()


def _left(work: Workspace, run: Run, chunks: Iterable[int]) -> list[int]:
    """Return those of the chunks that are not loaded."""
    loaded = loaded_chunks(work.warehouse, run)
    return [number for number in chunks if number not in loaded]


class _Shard:
    """Some chunks of a run, which one task reads, scores and loads in one transaction."""

    def __init__(self, work: Workspace, run: Run, numbers: list[int], progress: Progress) -> None:
        self._work, self._run, self._numbers, self._progress = work, run, numbers, progress
        self._folder = RunFolder(work.lake, run)
        self._counts: dict[int, Counts] = {}

    def score(self) -> int:
        """Read, score and load the chunks, and return how many rows. Raises ``KeysRepeat``."""
        threads = self._work.settings.score_threads or 1  # a worker runs such tasks side by side, one for each core
        with Lanes(self._work, self._run.run_id, self._load, self._progress, threads) as lanes:
            with lanes.reading() as on_chunk:
                for chunk in self._chunks():
                    on_chunk(chunk)
            return lanes.loaded()

    def _chunks(self) -> Iterator[Chunk]:
        stage = self._folder.stage()
        if stage is not None:
            yield from self._staged(stage)
            return
        for number in self._numbers:
            yield Chunk(number, self._folder.features(number, self._work.stores.features_schema(self._work.job)))

    def _staged(self, stage: AnyStage) -> Iterator[Chunk]:
        """Yield the chunks as the source has their rows, each once it is on the lake."""
        work, run = self._work, self._run
        interval = DataInterval(run.interval_start, run.interval_end, run.night)
        ref = self._folder.version_ref()
        contract = Contract(work.job, interval, work.registry.categories(ref), work.registry.unused(ref, work.job))
        parts = [part_of(stage.blocks, number, run.chunks or 0) for number in self._numbers]
        url, query = work.stores.source_url(work.job), work.stores.features_query(work.job)
        query = replace(query, written=self._folder.sql())
        with read_stage(url, query, interval, stage, parts) as batches, closing(ahead(batches)) as fetched:
            for number, batch in zip(self._numbers, fetched, strict=True):
                part = contract.split(batch)
                write_chunk(self._folder, number, part)
                self._counts[number] = Counts(len(work.job.key))
                self._counts[number].add(batch.num_rows, part)
                self._progress("extract", batch.num_rows)
                yield Chunk(number, part.accepted, part.accepted_hashes)

    def _load(self, chunks: Iterable[ChunkPredictions]) -> int:
        """Load the chunks and return how many rows. Those that another try of the task has loaded meanwhile are left."""
        work, loaded = self._work, list[LoadedChunk]()
        batches = self._batches(chunks, loaded)
        try:
            load_chunks(work.warehouse, work.job, self._run, batches, self._folder.schema(work.job), lambda: loaded)
        except KeysRepeat:
            if _left(work, self._run, self._numbers):
                ledger.record(work.warehouse, self._run.run_id, quarantine_reasons={"duplicate_key": 1})
                raise
        return sum(chunk.rows for chunk in loaded)

    def _batches(self, chunks: Iterable[ChunkPredictions], loaded: list[LoadedChunk]) -> Iterator[pa.RecordBatch]:
        """Yield the predictions of the chunks, and add each chunk to ``loaded`` once all of it was taken."""
        for chunk in chunks:
            digest = RowsDigest()
            yield from digested([chunk], digest, len(self._work.job.key), self._progress)
            facts = {"predictions": digest.as_dict()}
            if chunk.number in self._counts:
                facts["extracted"] = self._counts[chunk.number].as_dict()
            loaded.append(LoadedChunk(chunk.number, digest.rows, facts))


def loaded_by_shards(work: Workspace, run: Run) -> Loaded:
    """Return what the tasks of a run have loaded, and record what those counted that read its rows.

    Raises ``ReconciliationError`` that lists the chunks which are not loaded, if there are any.
    """
    began, predictions, counts = monotonic(), RowsDigest(), Counts(len(work.job.key))
    chunks = loaded_chunks(work.warehouse, run)
    missing = [number for number in RunFolder(work.lake, run).chunks if number not in chunks]
    if missing:
        raise ReconciliationError(
            f"run {run.run_id}",
            found=f"chunks {missing} of {run.chunks} not loaded",
            expected="every chunk loaded",
            next_step="clear the score task of the run",
        )
    for chunk in chunks.values():
        predictions.merge(RowsDigest.from_dict(chunk.facts["predictions"]))
        if "extracted" in chunk.facts:
            counts.merge(Counts.from_dict(chunk.facts["extracted"]))
    if counts.chunks:
        counted = {name: fact for name, fact in counts.facts().items() if name not in ("chunks", "rows_extracted")}
        ledger.record(work.warehouse, run.run_id, **counted)
    rows = count_rows(work.warehouse, work.job, run)
    return Loaded(rows, predictions.hexdigest(), monotonic() - began)
