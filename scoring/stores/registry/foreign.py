"""Fitted models of other MLflow registries: the file of a model, without opening it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scoring.errors import ArtifactMismatch, RegistryUnavailable

SCHEMES = ("models:/", "runs:/")
_NATIVE = {".lgb": "lightgbm", ".xgb": "xgboost", ".ubj": "xgboost", ".json": "xgboost"}


def foreign_file(uri: str, tracking_uri: str, folder: Path) -> tuple[Path, str]:
    """Return the file of the model that MLflow has under a URI, downloaded into a folder, and the name of its format.

    scikit-learn's, LightGBM's, XGBoost's and ONNX's flavours have one. Nothing is opened but MLflow's own description.
    Raises ``RegistryUnavailable``, or ``ArtifactMismatch`` for a model of another flavour.
    """
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    try:
        local = Path(_downloaded(mlflow, uri, tracking_uri, folder))
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


def _downloaded(mlflow: Any, uri: str, tracking_uri: str, folder: Path) -> str:
    """Return the folder of a model. MLflow knows one registry at a time, so that of the process is put back."""
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    try:
        return str(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])


def _format(flavor: str, content: dict[str, Any], path: Path) -> str:
    if flavor == "onnx":
        return "onnx"
    if flavor == "sklearn":
        return "skops" if content.get("serialization_format") == "skops" else "joblib"
    return _NATIVE.get(path.suffix, "joblib")
