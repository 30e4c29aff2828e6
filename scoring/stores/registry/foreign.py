"""Fitted models of other MLflow registries: the file of a model, without opening it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scoring.errors import ArtifactMismatch, RegistryUnavailable

_NATIVE = {".lgb": "lightgbm", ".xgb": "xgboost", ".ubj": "xgboost", ".json": "xgboost"}


def foreign_file(uri: str, tracking_uri: str, folder: Path) -> tuple[Path, str]:
    """Return the file of the model that MLflow has under a URI, downloaded into a folder, and the name of its format.

    scikit-learn's, LightGBM's, XGBoost's and ONNX's flavours have one. Nothing is opened but MLflow's own description.
    Raises ``RegistryUnavailable``, or ``ArtifactMismatch`` for a model of another flavour.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        repository = get_artifact_repository(uri, tracking_uri=tracking_uri, registry_uri=tracking_uri)
        local = Path(repository.download_artifacts("", dst_path=str(folder)))
        flavors = Model.load(str(local)).flavors
    except (MlflowException, OSError) as error:
        raise RegistryUnavailable(
            f"model {uri}", found=" ".join(str(error).split()), next_step="check the name, and --tracking-url"
        ) from None
    for flavor, key in (("sklearn", "pickled_model"), ("lightgbm", "data"), ("xgboost", "data"), ("onnx", "data")):
        content = flavors.get(flavor)
        if content is not None and content.get(key) is not None:
            return local / content[key], _format(flavor, content, local / content[key])
    raise ArtifactMismatch(
        f"model {uri}",
        found=f"flavours {sorted(flavors)}",
        expected="one of sklearn, lightgbm, xgboost, onnx",
        next_step="log it with one of these flavours, or give the file itself",
    )


def _format(flavor: str, content: dict[str, Any], path: Path) -> str:
    if flavor == "onnx":
        return "onnx"
    if flavor == "sklearn":
        return "skops" if content.get("serialization_format") == "skops" else "joblib"
    return _NATIVE.get(path.suffix, "joblib")
