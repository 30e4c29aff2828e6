"""Made-up jobs that need no folder: what tests of rows, metrics and pipelines say of a job."""

from __future__ import annotations

from datetime import date
from typing import Any

from scoring.job.definition import Job

FEATURES = {"x": {"type": "float", "nullable": True}, "kind": {"type": "category"}}
"""Those of the jobs whose pipeline is tried."""


def make_job(task: str = "binary", classes: list[str] | None = None, **changed: Any) -> Job:
    """Return a job with one feature, and with other settings where they are given."""
    content = {
        "name": "shop",
        "description": "x",
        "owner": "x",
        "source": "x",
        "task": task,
        "pipeline": "a:b",
        "schedule": {"timezone": "UTC", "first_night": date(2013, 1, 1)},
        "label": {"column": "y", "classes": classes},
        "key": {"id": "int"},
        "features": {"x": {"type": "float", "nullable": True}},
    }
    return Job.model_validate({**content, **changed})


def job_of(pipeline: str, **changed: Any) -> Job:
    """Return a job with a pipeline: a name of ``bad_pipelines``, or ``module:function``."""
    given = pipeline if ":" in pipeline else f"tests.support.bad_pipelines:{pipeline}"
    return make_job(**{"features": FEATURES, "pipeline": given, **changed})
