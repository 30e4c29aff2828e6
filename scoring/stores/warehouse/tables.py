"""The warehouse's tables that all jobs share, for SQLAlchemy."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args, get_origin, get_type_hints

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from scoring.stores.warehouse.records import Retraining, Run, Shadow, ShadowNight
from scoring.stores.warehouse.results import ColumnVerdict, Decided, Measured, NightVerdict

_ORDERED = ("job_file",)
"""Columns of type json, which keeps the order of keys: that of a job's features is its pipeline's. jsonb has its own."""


def fixed_table(name: str, plain: str, json: str = "") -> sa.TableClause:
    """Return a table with the given columns, names with spaces between them. Columns with JSON are named in ``json``."""
    return sa.table(name, *map(sa.column, plain.split()), *(sa.column(column, JSONB) for column in json.split()))


def record_table(name: str, record: type) -> sa.TableClause:
    """Return a table with a column for each field of ``record``. Fields with a mapping or a list are JSON."""
    kinds = get_type_hints(record)
    columns = (sa.column(field.name, _type_of(field.name, kinds[field.name])) for field in fields(record))
    return sa.table(name, *columns)


def _type_of(name: str, kind: Any) -> Any:
    if name in _ORDERED:
        return sa.JSON
    return JSONB if _is_json(kind) else None


def _is_json(kind: Any) -> bool:
    return any(get_origin(part) in (dict, list) for part in (kind, *get_args(kind)))


RUNS = record_table("scoring_runs", Run)
JOBS = fixed_table("jobs", "job description owner timezone first_night last_night retired_at retired_reason")
PUBLISHED = fixed_table("published_nights", "job night run_id run_number model_version rows scored_at published_at")
PUBLICATIONS = fixed_table("publications", "job night run_id visible_from visible_until")
PROMOTIONS = fixed_table(
    "model_promotions",
    "promotion_id job model_version effective_from kind reason promoted_by promoted_at model_sha256 model_uri retraining_id",
)


PROFILES = fixed_table("night_profiles", "run_id job night model_version rows", "profile")


DRIFT = record_table("drift_results", NightVerdict)


DRIFT_COLUMNS = record_table("drift_columns", ColumnVerdict)


PERFORMANCE = record_table("performance_results", Measured)


DECISIONS = record_table("retraining_decisions", Decided)


SHADOWS = record_table("shadows", Shadow)


SHADOW_NIGHTS = record_table("shadow_nights", ShadowNight)


RETRAININGS = record_table("retrainings", Retraining)


REFIT_LOSSES = fixed_table(
    "refit_losses", "job recipe_sha256 model_version until night rows loss measured_at", "groups"
)


LOADED_CHUNKS = fixed_table("loaded_chunks", "run_number chunk rows", "facts")


CARDS = fixed_table("model_cards", "job model_version made_at", "card")
MEAN_SHIFTS = fixed_table(
    "mean_shifts",
    "run_id job night model_version feature contribution_reference contribution_night rows_night rows_reference unit measured_at",
)
ALERTS = fixed_table("alerts", "job night kind message sent_at")
MANIFESTS = fixed_table("model_manifests", "manifest_id job model_version model_uri sha256 reason recorded_at", "files")
ERASURES = fixed_table(
    "erasures", "erasure_id job key_check reason done_by started_at finished_at", "key_columns counts"
)
ERASED_RUNS = fixed_table(
    "erased_runs",
    "erasure_id run_id rows_extracted rows_quarantined rows_scored rows_loaded snapshot_hash predictions_hash finished_at",
)
