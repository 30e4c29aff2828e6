"""The bytes of a pipeline, opened."""

from __future__ import annotations

import io
from typing import Any


def unpickled(content: bytes) -> Any:
    """Return the pipeline that ``lifecycle.training.pickled`` made the bytes of."""
    import joblib

    return joblib.load(io.BytesIO(content))
