"""What tests of serving share: waiting, and rows of nights as they are sent."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from fastapi.testclient import TestClient

from scoring.stores.registry import TrainingFacts, VersionRef
from scoring.stores.registry.version import FACTS
from serving.app import Office
from tests.conftest import Toy
from tests.support.toy import Training

Serve = Callable[..., tuple[TestClient, Office]]
"""Starts to serve the toy job: the fixture ``serve``."""


def until(true: Callable[[], Any], seconds: float = 20) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not become true"
        time.sleep(0.02)


def as_json(rows: pa.RecordBatch | pa.Table) -> list[dict[str, Any]]:
    """Return rows as they are sent: times as text."""
    return [
        {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
        for row in rows.to_pylist()
    ]


GOOD = {"at": "2024-01-07T10:00:00Z", "id": 1, "x": 0.5, "kind": "a"}
"""A row of the toy job that keeps the contract."""


def another_version(toy: Toy, training: Training) -> VersionRef:
    """Register the toy's version once more, under the next number."""
    folder = Path(toy.stores.settings.data_dir, "another_version")
    shutil.copytree(training.version, folder)
    facts = replace(TrainingFacts.from_json(json.loads((folder / FACTS).read_text())), job=toy.job.name)
    (folder / FACTS).write_text(json.dumps(facts.as_json(), indent=1))
    ref = toy.stores.registry.register(toy.job.name, folder, facts, training.metrics)
    shutil.rmtree(folder)
    return ref


def rows_of(count: int) -> list[dict[str, Any]]:
    """Return rows of the toy job with keys of their own."""
    return [{**GOOD, "id": number, "x": number / count} for number in range(count)]
