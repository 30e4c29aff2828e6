"""The files of a run on the lake: their names, their content, and the model version that the run is pinned to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import PurePosixPath
from typing import Any, Literal

import pyarrow as pa

from scoring.job import HIDDEN_VALUE, Job
from scoring.rows import Profile, Summary, prediction_schema
from scoring.stores.lake import Lake
from scoring.stores.lake_problems import broken, require_columns, understood
from scoring.stores.registry import VersionRef
from scoring.stores.source import AnyStage, stage_from
from scoring.stores.warehouse import Run

Part = Literal["features", "quarantine", "predictions"]


@dataclass(frozen=True)
class ScoredChunk:
    """The result of scoring one chunk: its rows, the summary of its predictions, and seconds."""

    rows: int
    summary: Summary
    seconds: float
    scored_by: str | None = None
    """What computed the predictions. None in older runs."""


@dataclass(frozen=True)
class RunInterval:
    """The interval around the predicted values of a run: its level, and what it is made for to keep that level."""

    level: float
    """Share of the outcomes that are to lie in it, as the job file had it."""
    miss: float
    """Share of the version's own residuals that lie beyond it: one less ``level``, moved by past nights if it adapts."""
    nights: int = 0
    """Measured nights that moved it."""

    def as_dict(self) -> dict[str, float]:
        """Return it for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run. A chunk's files carry its number, from 0 on."""

    lake: Lake
    run: Run
    interval: RunInterval | None = None
    """What ``write_pin`` writes of the interval around predicted values; ``pinned_interval`` reads it."""

    @property
    def path(self) -> str:
        """Return the path of the folder."""
        return self.lake.run_folder(self.run.job, self.run.night, self.run.run_id)

    @property
    def chunks(self) -> range:
        """Return the numbers of the run's chunks, which are none until its extraction has ended."""
        return range(self.run.chunks or 0)

    def part(self, part: Part, chunk: int) -> str:
        """Return the path of a chunk's Parquet file."""
        return self._file(f"{part}-{chunk:05d}.parquet")

    def shadow_part(self, version: int, chunk: int) -> str:
        """Return the path of a chunk's predictions by a version in the shadow."""
        return self._file(f"shadow-{version}-{chunk:05d}.parquet")

    def profile(self, chunk: int) -> str:
        """Return the path of the profile of a chunk's columns."""
        return self._file(f"profile-{chunk:05d}.json")

    def summary(self, chunk: int) -> str:
        """Return the path of the summary of a chunk's predictions, which is written last."""
        return self._file(f"summary-{chunk:05d}.json")

    @property
    def pin(self) -> str:
        """Return the path of the file that holds the URI of the pinned version's files."""
        return self._file("run.json")

    def write_pin(self, ref: VersionRef, job: Job, stage: AnyStage | None = None, sql: str | None = None) -> None:
        """Write the URI of the pinned version's files, the job, and where tasks that share the rows read them, by which SQL."""
        more: dict[str, Any] = {} if stage is None else {"stage": stage.as_dict(), "sql": sql}
        more |= {} if self.interval is None else {"interval": self.interval.as_dict()}
        content = {"run_id": self.run.run_id, "model_uri": ref.uri, "job": job.model_dump(mode="json")}
        self.lake.write_json(self.pin, {**content, **more})

    def job(self) -> Job | None:
        """Return the job as its file was when the run began, or None for a run that has no record of it."""
        content = self.lake.read_json(self.pin).get("job")
        if content is None:
            return None
        with understood(self.pin):
            return Job.model_validate(content)

    def sql(self) -> str | None:
        """Return ``features.sql`` as it was when the rows of a shared night were looked for, or None without a record of it."""
        sql: str | None = self.lake.read_json(self.pin).get("sql")
        return sql

    def stage(self) -> AnyStage | None:
        """Return where in the source the run's rows are, or None when they are on the lake alone."""
        content = self.lake.read_json(self.pin).get("stage")
        return None if content is None else stage_from(content, self.run.run_id)

    def pinned_interval(self, job: Job) -> RunInterval | None:
        """Return the level of the interval around the run's predicted values, or None when it was begun without one.

        Raises ``LakeFileBroken``.
        """
        if job.task.classifies:
            return None
        content = self.lake.read_json(self.pin).get("interval")
        with understood(self.pin):
            return None if content is None else RunInterval(**content)

    def schema(self, job: Job) -> pa.Schema:
        """Return the schema of the run's predictions: with the ends of an interval if it was begun with one."""
        return prediction_schema(job, self.pinned_interval(job) is not None)

    def version_ref(self) -> VersionRef:
        """Return the model version that the run is pinned to. Raises ``LakeFileMissing``, ``LakeFileBroken``."""
        uri = str(self._with_keys(self.pin, "model_uri")["model_uri"])
        return VersionRef(self.run.job, self.run.model_version, self.run.model_sha256, uri)

    def features(self, chunk: int, expected: pa.Schema) -> pa.RecordBatch:
        """Return the rows of a chunk, which must have the ``expected`` columns."""
        path = self.part("features", chunk)
        table = self.lake.table(path).combine_chunks()
        require_columns(path, table.schema, expected)
        return next(iter(table.to_batches()), pa.RecordBatch.from_pylist([], table.schema))

    def predictions(
        self, chunks: Iterable[int] | None = None, expected: pa.Schema | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the run's predictions, with the ``expected`` columns, in batches, or those of ``chunks`` in the given order."""
        for chunk in self.chunks if chunks is None else chunks:
            yield from self.lake.batches(self.part("predictions", chunk), expected=expected)

    def quarantine(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows that the run put into quarantine, in batches. A chunk without such rows has no file."""
        for chunk in self.chunks:
            path = self.part("quarantine", chunk)
            if self.lake.exists(path):
                yield from self.lake.batches(path)

    def shadow_predictions(self, version: int) -> Iterator[pa.RecordBatch]:
        """Yield the predictions of a version in the shadow for the run's rows, in batches."""
        for chunk in self.chunks:
            yield from self.lake.batches(self.shadow_part(version, chunk))

    def write_scored(self, chunk: int, profile: Profile, scored: ScoredChunk) -> None:
        """Write the profile of a chunk, then its summary, which says that the chunk is scored."""
        self.lake.write_json(self.profile(chunk), profile.as_dict())
        facts = {"rows": scored.rows, "summary": scored.summary.as_dict(), "seconds": scored.seconds}
        facts["scored_by"] = scored.scored_by
        self.lake.write_json(self.summary(chunk), facts)

    def scored(self, chunks: Iterable[int] | None = None) -> list[ScoredChunk]:
        """Return the result of scoring each chunk, or each of ``chunks``. Raises ``LakeFileMissing``, ``LakeFileBroken``."""
        return [self._scored(self.summary(chunk)) for chunk in (self.chunks if chunks is None else chunks)]

    def unscored(self) -> list[int]:
        """Return the chunks without a summary, whose scoring has not ended."""
        return [chunk for chunk in self.chunks if not self.lake.exists(self.summary(chunk))]

    def unprofiled(self) -> list[int]:
        """Return the chunks without a profile."""
        return [chunk for chunk in self.chunks if not self.lake.exists(self.profile(chunk))]

    def profiles(self) -> Iterator[Profile]:
        """Yield the profile of every chunk. All have the same columns, but for those of no accepted row, which have none."""
        names: list[str] = []
        for path in map(self.profile, self.chunks):
            profile = self._profile(path)
            names = names or sorted(profile.columns)
            if profile.columns and sorted(profile.columns) != names:
                raise broken(path, f"columns {sorted(profile.columns)}", f"columns {names}, as of the other chunks")
            yield profile

    def remove(self) -> None:
        """Remove the folder and all files in it.

        The files of chunks are removed by their names first, features last: an object store may not list them yet, and
        those of an earlier reading of the night would pass for the next one's.
        """
        for chunk in reversed(range(self._written())):
            parts = [self.part("quarantine", chunk), self.part("predictions", chunk), self.part("features", chunk)]
            for path in (self.summary(chunk), self.profile(chunk), *parts):
                self.lake.remove(path)
        self.lake.remove(self.path)

    def _written(self) -> int:
        """Return how many chunks have features on an object store. On a disk every file is listed."""
        if self.lake.local:
            return 0
        return next(chunk for chunk in count() if not self.lake.exists(self.part("features", chunk)))

    def _file(self, name: str) -> str:
        return str(PurePosixPath(self.path, name))

    def _profile(self, path: str) -> Profile:
        content = self.lake.read_json(path)
        with understood(path):
            return Profile.from_dict(content)

    def _scored(self, path: str) -> ScoredChunk:
        content = self._with_keys(path, "rows", "summary", "seconds")
        with understood(path):
            summary = Summary.from_dict(content["summary"])
        return ScoredChunk(content["rows"], summary, content["seconds"], content.get("scored_by"))

    def _with_keys(self, path: str, *names: str) -> dict[str, Any]:
        """Return the content of a JSON file. Raises ``LakeFileBroken`` when the file lacks one of the keys."""
        content = self.lake.read_json(path)
        for name in names:
            if name not in content:
                raise broken(path, f"keys {sorted(content)}", f"a JSON file with {name!r}")
        return content


def masked_rows(quarantined: pa.RecordBatch, job: Job) -> list[dict[str, str | None]]:
    """Return rows of a quarantine with their reasons first, then the job's columns. Sensitive values are hidden."""
    rows = []
    for row in quarantined.to_pylist():
        values = {
            name: HIDDEN_VALUE if name in job.sensitive and row[name] is not None else row[name]
            for name in job.columns
            if name in row
        }
        rows.append({"reasons": ", ".join(row["reasons"]), **values})
    return rows
