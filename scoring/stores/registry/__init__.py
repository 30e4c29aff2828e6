"""Model versions: their files, golden rows and sha256, in MLflow."""

from scoring.stores.registry.accepting import accept
from scoring.stores.registry.declaration import declared, narrowed
from scoring.stores.registry.facts import TrainingFacts
from scoring.stores.registry.golden import GOLDEN_TOLERANCE, largest_difference, library_versions
from scoring.stores.registry.loading import unpickled
from scoring.stores.registry.registry import Registry
from scoring.stores.registry.version import (
    ARTIFACT,
    GOLDEN_FILE,
    GOLDEN_PREDICTIONS_FILE,
    HOLDOUT_FILE,
    NIGHTS_FILE,
    REFERENCE_FILE,
    ModelVersion,
    VersionRef,
)

__all__ = [
    "ARTIFACT",
    "GOLDEN_FILE",
    "GOLDEN_PREDICTIONS_FILE",
    "GOLDEN_TOLERANCE",
    "HOLDOUT_FILE",
    "NIGHTS_FILE",
    "REFERENCE_FILE",
    "ModelVersion",
    "Registry",
    "TrainingFacts",
    "VersionRef",
    "accept",
    "declared",
    "largest_difference",
    "library_versions",
    "narrowed",
    "unpickled",
]
