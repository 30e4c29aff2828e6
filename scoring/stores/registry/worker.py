"""Predicts with a pipeline in the environment that it was made in: a program of its own, fed over a pipe.

It is run by its path and imports nothing of Nightshift, so that a version needs only the packages that its record names: numpy,
pandas, pyarrow, joblib and what its pipeline is made of. Each message is eight bytes of length and then the content: a line of
JSON, or a table in Arrow's stream format. What the pipeline prints goes to standard error.
"""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import threading
import time
from typing import Any

METHODS = ("predict", "predict_proba", "score_samples", "decision_function", "transform")
"""Methods that take rows."""
FOLLOWED = 0.5
"""Seconds between two looks whether the process that started this one is still there."""


def main() -> None:
    """Open the pipeline in the first message, say its classes, and answer each table with what its method gives."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    import joblib

    pipeline = _answered(out, lambda: joblib.load(io.BytesIO(_message() or b"")), _facts)
    while pipeline is not None:
        request = _message()
        if request is None:
            return
        asked, table = json.loads(request), _message() or b""
        _answered(out, lambda: _predicted(pipeline, asked, table), _encoded)  # noqa: B023


def _answered(out: Any, do: Any, encoded: Any) -> Any:
    """Send what came out of it, or the error, and return it."""
    try:
        result = do()
        facts, content = encoded(result)
    except Exception as error:  # noqa: BLE001 - whatever a pipeline raises is its own: named on the other side
        result, facts, content = None, {"error": f"{type(error).__name__}: {error}"}, b""
    for part in (json.dumps(facts).encode(), content):
        out.write(struct.pack("<Q", len(part)) + part)
    out.flush()
    return result


def _facts(pipeline: Any) -> tuple[dict[str, Any], bytes]:
    classes = getattr(pipeline, "classes_", None)
    return {
        "classes": None if classes is None else [getattr(name, "item", lambda name=name: name)() for name in classes],
        "methods": [name for name in METHODS if hasattr(pipeline, name)],
    }, b""


def _predicted(pipeline: Any, asked: dict[str, Any], content: bytes) -> Any:
    import joblib
    import numpy as np

    method, frame = asked["method"], frame_of(content)
    given = frame.to_numpy() if asked["by_place"] and not _knows_names(pipeline) else frame
    if method == "uncalibrated":
        pipeline, method = pipeline.estimator.estimator, "predict"
    with joblib.parallel_config(backend="sequential"):
        return np.asarray(getattr(pipeline, method)(given))


def _knows_names(pipeline: Any) -> bool:
    """Return whether a model was fitted on columns with names, as ``formats.by_place.names_of`` sees it."""
    try:
        names = [str(name) for name in pipeline.feature_names_in_]
    except Exception:  # noqa: BLE001 - a model of one's own may raise anything: it has no names then
        return False
    return not all(name == f"Column_{place}" for place, name in enumerate(names))


def frame_of(content: bytes) -> Any:
    """Return the frame that was sent: numbers with NaN, objects with NaN and times with NaT for null, as pipelines see it."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    table, columns = pa.ipc.open_stream(content).read_all().combine_chunks(), {}
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_timestamp(column.type):
            columns[name] = column.to_pandas()
        elif pa.types.is_floating(column.type):
            columns[name] = column.to_numpy()
        else:
            columns[name] = np.array([np.nan if value is None else value for value in column.to_pylist()], dtype=object)
    return pd.DataFrame(columns, columns=table.column_names)


def _encoded(values: Any) -> tuple[dict[str, Any], bytes]:
    """Return an array's shape and type, and its content: numbers as they are, anything else as text in JSON."""
    if values.dtype.kind in "biuf":
        return {"shape": values.shape, "type": values.dtype.str}, values.tobytes()
    return {"shape": values.shape, "type": "text"}, json.dumps([str(value) for value in values.ravel()]).encode()


def _message() -> bytes | None:
    """Return the next message, or None once nobody sends any more."""
    head = _read(8)
    return None if head is None else _read(struct.unpack("<Q", head)[0])


def _read(size: int) -> bytes | None:
    parts = sys.stdin.buffer.read(size)
    return parts if len(parts) == size else None


def _end_with(parent: int) -> None:
    """End this process when the one that started it is gone, however long a prediction still takes."""
    while os.getppid() == parent:
        time.sleep(FOLLOWED)
    os._exit(1)


if __name__ == "__main__":
    main()
