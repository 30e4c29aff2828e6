"""The file of a fitted model: its bytes, what format they are in, and whether opening them was allowed."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from scoring.errors import ArtifactMismatch, Permanent
from scoring.stores import Stores
from scoring.stores.registry import FORMATS, Format

_ENDINGS = {
    ".joblib": "joblib",
    ".pkl": "joblib",
    ".pickle": "joblib",
    ".skops": "skops",
    ".onnx": "onnx",
    ".lgb": "lightgbm",
    ".txt": "lightgbm",
    ".ubj": "xgboost",
    ".json": "xgboost",
    ".xgb": "xgboost",
}


@dataclass(frozen=True)
class ModelFile:
    """A fitted model that nobody has opened yet. Its bytes were read once: what is hashed is what is opened and stored."""

    source: str
    """As it was asked for: a path, or MLflow's name of the model."""
    form: Format
    content: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """Return the sha256 of the file."""
        return hashlib.sha256(self.content).hexdigest()


def model_file(stores: Stores, source: str, tracking_url: str | None = None) -> ModelFile:
    """Return the file that ``source`` names: a path, ``models:/name/3`` or ``runs:/id/path``. Nothing in it is opened.

    MLflow's models come from ``tracking_url``, or from Nightshift's own registry. Raises ``Permanent`` for a file that is not
    there or of no known format.
    """
    if source.startswith(("models:/", "runs:/")):
        with tempfile.TemporaryDirectory(prefix="nightshift-model-") as folder:
            path, name = stores.registry.foreign_file(source, tracking_url, Path(folder))
            return ModelFile(source, FORMATS[name], path.read_bytes())
    try:
        content = Path(source).read_bytes()
    except OSError as error:
        raise Permanent(
            f"model {source}",
            found=str(error.strerror),
            expected="a file, or models:/name/3 or runs:/id/path of MLflow",
            next_step="correct --model",
        ) from None
    return ModelFile(source, _format_of(Path(source), content), content)


def _format_of(path: Path, content: bytes) -> Format:
    name = _ENDINGS.get(path.suffix.lower())
    if name is None:
        raise Permanent(
            f"model {path}",
            found=f"the ending {path.suffix!r}",
            expected=f"one of {', '.join(_ENDINGS)}",
            next_step="name the file by its format",
        )
    return FORMATS[name]


def require_trust(model: ModelFile, trusted: bool) -> None:
    """Raise ``ArtifactMismatch`` for a file whose author can run code on this machine, unless somebody trusts it."""
    if model.form.runs_code and not trusted:
        raise ArtifactMismatch(
            f"model {model.source} was not opened",
            found=f"a pickle ({model.form.name}) with sha256 {model.sha256}; opening it runs code that its author put into it",
            expected="skops, which runs none, or somebody who trusts the author",
            next_step="compare the sha256 with the author's and give --trust, or ask for the model in skops",
        )
