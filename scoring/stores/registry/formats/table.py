"""The table of formats: the name of each one's file, what opens it, and whether opening runs code of the file."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scoring.errors import ArtifactMismatch
from scoring.job import Job
from scoring.stores.registry.formats.by_place import ByPlace

STEM = "pipeline."
"""What the name of the artifact's file begins with. No other file of a version is called so."""


@dataclass(frozen=True)
class Format:
    """One way in which a fitted model is stored."""

    name: str
    file: str
    """Name of the artifact's file in a version's folder."""
    runs_code: bool
    """Whether opening a file can run any code that its author put into it."""
    open: Callable[[bytes, Job | None, Sequence[str]], Any]
    """Gives the model from its bytes, the job, and the names of types that somebody allowed."""


def _joblib(content: bytes, job: Job | None, types: Sequence[str]) -> Any:
    import joblib

    return joblib.load(io.BytesIO(content))


def _skops(content: bytes, job: Job | None, types: Sequence[str]) -> Any:
    import skops.io

    return skops.io.loads(content, trusted=list(types))


def _onnx(content: bytes, job: Job | None, types: Sequence[str]) -> Any:
    from scoring.stores.registry.formats.onnx import OnnxModel

    return OnnxModel(content, job)


def _lightgbm(content: bytes, job: Job | None, types: Sequence[str]) -> Any:
    from scoring.stores.registry.formats.boosters import LightGbmModel

    return LightGbmModel(content, job)


def _xgboost(content: bytes, job: Job | None, types: Sequence[str]) -> Any:
    from scoring.stores.registry.formats.boosters import XgboostModel

    return XgboostModel(content, job)


JOBLIB = Format("joblib", f"{STEM}joblib", True, _joblib)
SKOPS = Format("skops", f"{STEM}skops", False, _skops)
ONNX = Format("onnx", f"{STEM}onnx", False, _onnx)
LIGHTGBM = Format("lightgbm", f"{STEM}lightgbm.txt", False, _lightgbm)
XGBOOST = Format("xgboost", f"{STEM}xgboost.ubj", False, _xgboost)
FORMATS = {form.name: form for form in (JOBLIB, SKOPS, ONNX, LIGHTGBM, XGBOOST)}


def unknown_types(form: Format, content: bytes) -> list[str]:
    """Return the types in a skops file that skops does not know to be harmless. Nothing is opened; other formats have none."""
    if form is not SKOPS:
        return []
    import skops.io

    return list(skops.io.get_untrusted_types(data=content))


def artifact_in(names: Iterable[str]) -> str:
    """Return which of a version's files is its artifact: joblib's, as in every older version, if none has such a name."""
    return next((name for name in sorted(names) if name.startswith(STEM)), JOBLIB.file)


def format_named(name: str | None, file: str, what: str) -> Format:
    """Return the format that a version's facts name, joblib in older ones. Raises ``ArtifactMismatch`` for another file."""
    form = FORMATS.get(name or JOBLIB.name)
    if form is None or form.file != file:
        raise ArtifactMismatch(
            f"{what}: format of the artifact",
            found=f"{name!r} in facts.json, and the file {file}",
            expected=f"one of {sorted(FORMATS)}, and its file",
            next_step="restore the files, or use the release of Nightshift that registered the version",
        )
    return form


def opened(form: Format, content: bytes, job: Job | None, types: Sequence[str], inputs: Sequence[str] | None) -> Any:
    """Return the model of a file whose sha256 was verified. With ``inputs`` it is given these columns by their place."""
    return with_inputs(form.open(content, job, types), inputs)


def with_inputs(model: Any, inputs: Sequence[str] | None) -> Any:
    """Return a model that takes its columns in the given order, or as they stand."""
    return ByPlace(model, list(inputs)) if inputs else model
