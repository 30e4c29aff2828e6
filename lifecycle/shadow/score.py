"""Scores published nights with versions in the shadow: the same feature snapshot, beside the publication, never in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import date
from time import monotonic
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.errors import NightshiftError, RunMissing, described
from scoring.interval import DataInterval
from scoring.job import HIDDEN_VALUE, Job
from scoring.rows import Contract, prediction_schema
from scoring.stores import RunFolder, Workspace, no_erasure
from scoring.stores.registry import ModelVersion, VersionRef, narrowed
from scoring.stores.warehouse import Disagreement, Row, Run, Shadow, ledger, load_shadow, shadows

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def pin(work: Workspace, version: int, nights: int, retraining_id: int | None = None) -> Shadow:
    """Let a version score the next ``nights`` nights in the shadow of the champion and return the record of that.

    Pinning the same version again changes nothing. Raises ``VersionMissing``, ``DeclarationMismatch``, ``RunMissing`` before
    any night is published.
    """
    ref = work.registry.resolve(work.job.name, version)
    work.registry.job_of(ref, work.job)
    published = ledger.settled(work.warehouse, work.job.name, work.clock())
    if not published:
        raise RunMissing(
            f"shadow of {work.job.name}", found="no published night", expected="a champion that scores nights"
        )
    last = max(published)
    champion = ledger.get(work.warehouse, published[last]).model_version
    return shadows.start(
        work.warehouse,
        {
            "job": work.job.name,
            "model_version": version,
            "model_sha256": ref.sha256,
            "model_uri": ref.uri,
            "role": "challenger",
            "champion_version": champion,
            "first_night": date.fromordinal(last.toordinal() + 1),
            "nights": nights,
            "retraining_id": retraining_id,
            "started_at": work.clock(),
        },
    )


@no_erasure
def shadow_run(work: Workspace, run_id: str) -> list[int]:
    """Score a published run with every version in its shadow and return these versions.

    A version's predictions go into the run's folder and ``<job>_shadow_predictions``. Doing it again gives the same. A
    version that fails has its failure on record, the others go on, and the first error is raised at the end.
    """
    run = ledger.get(work.warehouse, run_id, work.job.name)
    if run.status not in ("published", "superseded"):
        raise RunMissing(f"run {run_id}", found=f"status {run.status}", expected="a published run")
    versions: list[int] = []
    errors: list[NightshiftError] = []
    for shadow in in_shadow(work, run):
        facts: Row = {"run_id": run_id, "job": work.job.name, "night": run.night, "model_version": shadow.model_version}
        facts |= {"champion_version": run.model_version, "scored_at": work.clock()}
        try:
            shadows.save_night(work.warehouse, {**facts, "status": "scored", **_score(work, run, shadow)})
        except NightshiftError as error:  # recorded; raised once the other versions are done
            reason = described(error)
            shadows.save_night(work.warehouse, {**facts, "status": "failed", "reason": reason})
            errors.append(error)
        versions.append(shadow.model_version)
    if errors:
        raise errors[0]
    return versions


def in_shadow(work: Workspace, run: Run) -> list[Shadow]:
    """Return the versions in the shadow that score a run: those in its night, but for the run's own."""
    running = shadows.running(work.warehouse, work.job.name, run.night)
    return [shadow for shadow in running if shadow.model_version != run.model_version]


def _score(work: Workspace, run: Run, shadow: Shadow) -> Row:
    """Return rows, seconds and disagreement of a version on a run, its predictions written and loaded."""
    began = monotonic()
    ref = VersionRef(work.job.name, shadow.model_version, shadow.model_sha256, shadow.model_uri)
    model = work.registry.load(ref, work.job)
    folder = RunFolder(work.lake, run)
    differences = _Differences(work.job)
    taken = _Taken(work, run, model)
    for number in folder.chunks:
        features, champion = (work.lake.table(folder.part(part, number)) for part in ("features", "predictions"))
        features, champion = taken.of(features, champion)
        predictions = [model.predict(batch, work.job) for batch in features.to_batches(50_000)]
        work.lake.write(folder.shadow_part(ref.version, number), prediction_schema(work.job), predictions, {})
        differences.add(features, champion, pa.Table.from_batches(predictions, prediction_schema(work.job)))
    shadow_rows = folder.shadow_predictions(ref.version)
    load_shadow(work.warehouse, work.job, run, ref.version, shadow_rows, prediction_schema(work.job))
    return {"rows": differences.rows, "seconds": monotonic() - began, "disagreement": asdict(differences.result())}


class _Taken:
    """The rows of a run that a version in the shadow takes: those that keep the rules of the features it alone uses."""

    def __init__(self, work: Workspace, run: Run, model: ModelVersion) -> None:
        unused = work.registry.unused(RunFolder(work.lake, run).version_ref(), work.job)
        own = [name for name in model.features if name in unused]
        interval = DataInterval(run.interval_start, run.interval_end, run.night)
        levels = {name: model.categories[name] for name in own if name in model.categories}
        self._contract = Contract(narrowed(work.job, own), interval, levels) if own else None

    def of(self, features: pa.Table, champion: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Return the rows that are taken, and what the champion said of them."""
        if self._contract is None:
            return features, champion
        accepted = [np.zeros(0, dtype=bool), *map(self._contract.accepts, features.to_batches())]
        taken = pa.array(np.concatenate(accepted))
        return features.filter(taken), champion.filter(taken)


@dataclass
class _Differences:
    """How two versions differ on the same rows, added up chunk by chunk."""

    job: Job
    rows: int = 0
    changed: int = 0
    gaps: list[np.ndarray] = field(default_factory=list)
    segments: dict[tuple[str, Any], np.ndarray] = field(default_factory=dict)
    """Rows, decisions changed and summed differences of each value of the declared segments."""

    def add(self, features: pa.Table, champion: pa.Table, shadow: pa.Table) -> None:
        """Add the rows of a chunk, which stand in the same order in all three tables."""
        names = self.job.number_columns
        pairs = [(np.asarray(shadow.column(name)), np.asarray(champion.column(name))) for name in names]
        gaps = [after - before for after, before in pairs]
        gap = gaps[0] if len(gaps) == 1 else np.max(np.abs(np.stack(gaps)), axis=0)
        decided = self.job.task.classifies
        changed = np.asarray(pc.not_equal(shadow.column("prediction"), champion.column("prediction"))) & decided
        self.rows += len(gap)
        self.changed += int(changed.sum())
        self.gaps.append(gap)
        for name in (name for name in self.job.promotion.segments if name in features.column_names):
            for value in pc.unique(features.column(name)).to_pylist():
                column = features.column(name)
                same = np.asarray(pc.is_null(column) if value is None else pc.fill_null(pc.equal(column, value), False))
                sums = np.array([same.sum(), changed[same].sum(), gap[same].sum()])
                self.segments[(name, value)] = self.segments.get((name, value), np.zeros(3)) + sums

    def result(self) -> Disagreement:
        """Return shares, quantiles and segments. The share of changed decisions is None for numbers."""
        gaps = np.concatenate(self.gaps) if self.gaps else np.zeros(0)
        return Disagreement(
            decisions_changed=self.changed / self.rows if self.job.task.classifies and self.rows else None,
            mean=float(gaps.mean()) if len(gaps) else None,
            mean_absolute=float(np.abs(gaps).mean()) if len(gaps) else None,
            quantiles={f"{q:g}": float(np.quantile(gaps, q)) for q in QUANTILES} if len(gaps) else {},
            segments=[
                {
                    "column": name,
                    "value": HIDDEN_VALUE if name in self.job.sensitive else value,
                    "rows": int(rows),
                    "decisions_changed": changed / rows,
                    "mean": gap / rows,
                }
                for (name, value), (rows, changed, gap) in self.segments.items()
            ],
        )
