"""The toy job with other features: columns in the source, in ``features.sql`` and in the job file."""

from __future__ import annotations

from typing import Any

import yaml

from scoring.job.files import load_job
from tests.conftest import Toy
from tests.support.toy import FEATURES, execute

X = {"type": "float", "nullable": True, "min": -50}
KIND = {"type": "category"}
NEW = {"type": "float", "min": 0}
"""A feature that no version knows, and that no row may lack."""


def declare(toy: Toy, features: dict[str, Any], sql: str = "", **changes: Any) -> None:
    """Give the job these features, in this order. ``sql`` is what features.sql selects besides the toy's columns."""
    toy.change(features=features, **changes)
    file = toy.folder / "jobs" / f"{toy.job.name}.yaml"
    content = {**yaml.safe_load(file.read_text()), "features": features}
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    toy.job = load_job(file)
    if sql:
        path = toy.folder / "sql" / toy.job.name / "features.sql"
        path.write_text(FEATURES.replace("x, kind", f"x, kind, {sql}"))


def add_feature(toy: Toy, values: str = "mod(id, 7)", *, first: bool = False, **changes: Any) -> None:
    """Add the feature ``z`` to the source, the SQL and the job file, ``first`` in front of the others."""
    execute(toy.source, "alter table events add column if not exists z double precision")
    execute(toy.source, f"update events set z = {values}")
    old, new = {"x": X, "kind": KIND}, {"z": NEW}
    declare(toy, {**new, **old} if first else {**old, **new}, "z", **changes)
