"""What tests of serving share: waiting, and rows of nights as they are sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pyarrow as pa
from fastapi.testclient import TestClient

from serving.app import Office

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
