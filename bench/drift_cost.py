"""What drift costs per night, next to scoring the night and to Evidently alone on all its rows."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from bench.default_rules import Side, side_of
from bench.drift_streams import PROBABILITY, Stream
from drift.report import evidently_page, sample_sides
from drift.runs import night_of_run, past_of, reference_of, scored_run
from drift.verdict import verdict_on
from scoring.interval import Nights
from scoring.job import Job
from scoring.night import NightRequest, run_night, score_chunk
from scoring.rows import Profile, profiled
from scoring.stores import RunFolder, Workspace
from scoring.stores.registry import VersionRef
from scoring.stores.warehouse import Span

FIRST = date(2013, 4, 1)


def costs(work: Workspace, ref: VersionRef, stream: Stream, sizes: list[int]) -> list[dict[str, Any]]:
    """Return the seconds of every part, for a night of each size."""
    from demo.seed import inflate

    found = []
    for number, size in enumerate(sizes):
        night = FIRST + timedelta(days=number)
        rows = inflate(work.stores.source_url(work.job), night, size)
        request = NightRequest(night, datetime.now(UTC), "bench")
        run_night(work, request)
        found.append({"rows": rows, **_parts(work, ref, request.run_id, stream)})
    return found


def _parts(work: Workspace, ref: VersionRef, run_id: str, stream: Stream) -> dict[str, float]:
    run = scored_run(work, run_id)
    chunks = range(run.chunks or 0)
    scoring, _ = _timed(lambda: [score_chunk(work, run_id, number) for number in chunks])
    bins = work.registry.load(ref, work.job).bins
    folder = RunFolder(work.lake, run)

    def batches(kind: Any, number: int) -> list[pa.RecordBatch]:
        return list(work.lake.batches(folder.part(kind, number), rows=50_000))

    pairs = [pair for one in chunks for pair in zip(batches("features", one), batches("predictions", one), strict=True)]
    profile, _ = _timed(lambda: [Profile.of(bins, profiled(a, b, work.job), a.num_rows) for a, b in pairs])
    reference = reference_of(work, folder.version_ref())
    past = past_of(work.stores, Span(work.job.name, Nights.before(run.night, 90)), run.model_version)
    verdict, _ = _timed(lambda: verdict_on(reference, past, run.night, night_of_run(work, run)))
    sampling, (sides, _) = _timed(lambda: sample_sides(work, run))
    title = {"job": work.job.name, "night": str(run.night)}
    page, _ = _timed(lambda: evidently_page(sides, work.job, datetime.now(UTC), title, "assets"))
    tables = [pa.Table.from_batches([one]) for one, _ in pairs]
    night = pa.concat_tables(tables).append_column(
        PROBABILITY, pa.concat_arrays([b.column(PROBABILITY) for _, b in pairs])
    )
    whole = pa.concat_tables([stream.make(day, None) for day in stream.reference_days])
    alone, _ = _timed(lambda: _evidently(_whole_side(night, work.job), side_of(whole, work.job)))
    report = sampling + page
    return {
        "score_chunk": scoring,
        "profile": profile,
        "profile_share": profile / scoring,
        "verdict": verdict,
        "report": report,
        "evidently_on_all_rows": alone,
        "ours_without_report": profile + verdict,
        "evidently_to_ours": alone / (profile + verdict),
        "evidently_to_all": alone / (profile + verdict + report),
    }


def _whole_side(rows: pa.Table, job: Job) -> Side:
    parts = [side_of(rows.slice(start, 10_000), job) for start in range(0, rows.num_rows, 10_000)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _evidently(current: Side, reference: Side) -> None:
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    text = [name for name, values in reference.items() if values.dtype == object]
    definition = DataDefinition(numerical_columns=[n for n in reference if n not in text], categorical_columns=text)
    frames = [pd.DataFrame({name: pd.Series(values) for name, values in side.items()}) for side in (current, reference)]
    Report([DataDriftPreset(columns=list(reference))]).run(
        *(Dataset.from_pandas(one, definition) for one in frames)
    ).dict()


def _timed(work: Any) -> tuple[float, Any]:
    began = time.perf_counter()
    made = work()
    return time.perf_counter() - began, made
