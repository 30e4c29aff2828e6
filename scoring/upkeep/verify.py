"""Compares ledger, table and lake of a job, and the files of its model versions with what was recorded. Repairs the lake."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from scoring.errors import ArtifactMismatch, LakeFileBroken, LakeFileMissing, LakeRefused, LakeUnavailable
from scoring.night import INTERVAL_FACT, reasons_problem, refresh_lake
from scoring.rows import RowsDigest, prediction_schema
from scoring.stores import Workspace, no_erasure
from scoring.stores.warehouse import Run, abandon_dead, count_rows, ledger


@dataclass(frozen=True)
class Finding:
    """One disagreement between ledger, table and lake, or between a version's files and what was recorded of them."""

    night: date | None
    """None for a model version."""
    problem: str
    repaired: bool


@no_erasure
def verify(work: Workspace, repair: bool = False) -> list[Finding]:
    """Return every disagreement between ledger, table and lake of a job's published nights, and every wrong model file.

    ``repair`` writes lake objects anew from the published run and removes those of nights that are not published;
    it never touches the table. Runs that nobody works on any more are recorded as abandoned first.
    """
    abandon_dead(work.warehouse, work.clock(), work.job.name)
    published = ledger.published(work.warehouse, work.job.name)
    findings = []
    for night, run_id in published.items():
        run = ledger.get(work.warehouse, run_id)
        rows = count_rows(work.warehouse, work.job, run)
        if rows != run.rows_loaded:
            findings.append(
                Finding(night, f"the table has {rows} rows of run {run_id}, the ledger {run.rows_loaded}", False)
            )
        problem = _lake_problem(work, run) or reasons_problem(work, run)
        if problem:
            findings.append(Finding(night, problem, repair and _rewrite(work, night)))
    for night in sorted(set(work.lake.nights(work.job.name)) - set(published)):
        if not work.lake.exists(
            work.lake.current(work.job.name, night)
        ):  # a store may list for a while what was removed
            continue
        findings.append(
            Finding(night, "a lake object of a night that is not published", repair and _rewrite(work, night))
        )
    return [*sorted(findings, key=lambda finding: str(finding.night)), *_wrong_versions(work)]


def _wrong_versions(work: Workspace) -> list[Finding]:
    """Return the files of model versions that are not those that were recorded, reading all of them."""
    findings = []
    for ref in work.registry.versions(work.job.name):
        try:
            problems = work.registry.problems(ref)
        except ArtifactMismatch as error:
            problems = [str(error)]
        findings += [Finding(None, problem, False) for problem in problems]
    return findings


def _lake_problem(work: Workspace, run: Run) -> str | None:
    """Return what is wrong with the lake object of a published run, reading all of it."""
    path = work.lake.current(work.job.name, run.night)
    try:
        facts = work.lake.facts(path)
        if facts is None:
            return "no lake object"
        if facts.get("run_id") != run.run_id:
            return f"the lake object is of run {facts.get('run_id')}, published is {run.run_id}"
        digest, names = RowsDigest(), prediction_schema(work.job, INTERVAL_FACT in facts).names
        for batch in work.lake.batches(path):
            digest.add(batch.select(names))
    except (LakeFileBroken, LakeFileMissing, LakeRefused, LakeUnavailable, KeyError) as error:
        return f"the lake object cannot be read: {error}"
    if digest.hexdigest() != run.predictions_hash:
        return f"the lake object's rows ({facts['rows']}) are not those that were scored ({run.rows_loaded})"
    return None


def _rewrite(work: Workspace, night: date) -> bool:
    """Write the night's lake object anew, or remove it. Return False if the run's files are missing or broken."""
    try:
        refresh_lake(work, night, anew=True)
    except (LakeFileMissing, LakeFileBroken):
        return False
    return True
