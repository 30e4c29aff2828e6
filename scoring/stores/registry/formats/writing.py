"""Writes a fitted pipeline in a format that others read: skops, or ONNX by skl2onnx, an optional requirement."""

from __future__ import annotations

from typing import Any

from scoring.errors import PipelineError
from scoring.job import Job, words_of
from scoring.stores.registry.formats.by_place import ByPlace, names_of
from scoring.stores.registry.formats.table import Format


def stored_as(form: Format, model: Any, job: Job) -> bytes:
    """Return a fitted pipeline's bytes in skops or ONNX. Raises ``PipelineError`` for one that has no such form."""
    inner = model.model if isinstance(model, ByPlace) else model
    try:
        return _WRITERS[form.name](inner, names_of(inner) or list(job.features), job)
    except Exception as error:  # whatever a converter raises: named and raised again
        missing = isinstance(error, ImportError)
        raise PipelineError(
            f"exporting {job.name} as {form.name}",
            found=words_of(error),
            expected="skl2onnx, which is an optional requirement"
            if missing
            else f"steps that {form.name} has a form for",
            next_step="install requirements-onnx.txt" if missing else "export it in another format",
        ) from error


def _skops(model: Any, names: list[str], job: Job) -> bytes:
    import skops.io

    return bytes(skops.io.dumps(model))


def _onnx(model: Any, names: list[str], job: Job) -> bytes:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    kinds = {"category": StringTensorType}
    types = [(name, kinds.get(job.features[name].type, FloatTensorType)([None, 1])) for name in names]
    options = {id(model): {"zipmap": False}} if job.task.classifies else None
    return bytes(convert_sklearn(model, initial_types=types, options=options).SerializeToString())


_WRITERS = {"skops": _skops, "onnx": _onnx}
