"""What the pages show of retrainings and of versions in the shadow, read from the warehouse."""

from __future__ import annotations

from collections.abc import Sequence

from drift.performance import LOSS_UNITS
from pages.content.places import View
from scoring.job import HIDDEN_VALUE, Job
from scoring.stores.warehouse import Retraining, Row, Shadow, ShadowNight, Warehouse, retrainings, shadows

RETRAININGS_SHOWN = 20
SHADOWS_SHOWN = 10
ASKED = {"decision": "the governor's decision", "schedule": "the job's schedule", "hand": "a person"}
ROLES = {
    "challenger": "challenger: would take the crown",
    "predecessor": "predecessor: was champion, and would take the crown back",
}


def retraining_view(row: Retraining) -> View:
    """Return a retraining with who asked for it in words, whether it is open, and its duration in seconds."""
    seconds = (row.finished_at - row.started_at).total_seconds() if row.finished_at else None
    return {**row.facts, "asked": ASKED[row.trigger], "open": row.open, "seconds": seconds}


def job_retrainings(warehouse: Warehouse, job: str) -> View:
    """Return the newest retrainings of a job, how many there are, and the versions that have a model card."""
    rows = retrainings.of_job(warehouse, job)
    newest = [retraining_view(row) for row in rows[::-1][:RETRAININGS_SHOWN]]
    return {"retrainings": newest, "retrained": len(rows), "carded": retrainings.versions_with_card(warehouse, job)}


def open_retraining(warehouse: Warehouse, job: str) -> Retraining | None:
    """Return the retraining of a job that is not finished, or None if there is none."""
    return next((row for row in retrainings.of_job(warehouse, job)[::-1] if row.open), None)


def retraining_of_version(warehouse: Warehouse, job: str, version: int) -> View | None:
    """Return the retraining that made a version, or None for one that a person trained."""
    matches = [row for row in retrainings.of_job(warehouse, job) if row.model_version == version]
    return retraining_view(matches[-1]) if matches else None


def version_of_run(warehouse: Warehouse, job: str, airflow_run_id: str) -> tuple[bool, int | None]:
    """Return whether a DAG run made a retraining of the job, and the version that it came to so far."""
    for row in retrainings.of_job(warehouse, job)[::-1]:
        if row.airflow_run_id == airflow_run_id:
            return True, row.model_version
    return False, None


def shadow_views(warehouse: Warehouse, job: str, file: Job | None) -> list[View]:
    """Return every stay in the shadow, the newest first, with its nights. A sensitive column's values are hidden.

    Without the job's file nobody knows which columns are sensitive: then all are.
    """
    rows = shadows.nights(warehouse, job)
    stays = [_shadow(shadow, shadows.beside(rows, shadow), file) for shadow in shadows.of_job(warehouse, job)]
    return stays[::-1]


def _shadow(shadow: Shadow, rows: Sequence[ShadowNight], file: Job | None) -> View:
    scored = [row for row in rows if row.status == "scored"]
    loss = file.task.loss if file else "loss"
    plain = set(file.features) - file.sensitive if file else set()
    segments = scored[-1].differences.segments if scored else []
    masked = [{**part, "value": part["value"] if part["column"] in plain else HIDDEN_VALUE} for part in segments]
    return {
        **shadow.facts,
        "role_words": ROLES[shadow.role],
        "open": shadow.open,
        "scored": len(scored),
        "failed": len(rows) - len(scored),
        "measured": sum(row.sums is not None for row in rows),
        "rows": [_night(row) for row in rows[::-1]],
        "newest": scored[-1].night if scored else None,
        "segments": sorted(masked, key=lambda part: (part["column"], -part["rows"])),
        "loss": loss,
        "loss_unit": LOSS_UNITS.get(loss, ""),
        "gap_unit": _gap_unit(file),
        "sure": _sure(shadow.evidence),
        "decides": file is None or file.task.classifies,
    }


def _sure(evidence: Row | None) -> str:
    return f"{100 * evidence['gain']['confidence']:g} %" if evidence else ""


def _gap_unit(file: Job | None) -> str:
    """Return the unit of the differences between two versions' predictions."""
    return file.task.number_unit if file else ""


def _night(row: ShadowNight) -> View:
    """Return a night with mean losses per row, the shadow's and the champion's, or None until they are measured."""
    differ, losses = row.differences, row.losses
    champion, shadow = losses.means if losses else (None, None)
    return {
        "night": row.night,
        "status": row.status,
        "reason": row.reason,
        "rows": row.rows,
        "labelled": losses.rows if losses else 0,
        "changed": differ.decisions_changed,
        "mean_absolute": differ.mean_absolute,
        "low": differ.quantiles.get("0.05"),
        "high": differ.quantiles.get("0.95"),
        "champion": champion,
        "shadow": shadow,
    }
