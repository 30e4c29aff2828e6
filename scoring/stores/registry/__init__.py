"""Model versions: their files, golden rows and sha256, in MLflow."""

from scoring.stores.registry.accepting import accept
from scoring.stores.registry.band import band_of
from scoring.stores.registry.declaration import declared, narrowed
from scoring.stores.registry.environments import Environments, Needed
from scoring.stores.registry.facts import TrainingFacts
from scoring.stores.registry.golden import GOLDEN_TOLERANCE, largest_difference, library_versions
from scoring.stores.registry.opening import changed
from scoring.stores.registry.packages import packages_of
from scoring.stores.registry.pickled import unpickled
from scoring.stores.registry.registry import Registry
from scoring.stores.registry.version import (
    ARTIFACT,
    BAND_FILE,
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
    "BAND_FILE",
    "GOLDEN_FILE",
    "GOLDEN_PREDICTIONS_FILE",
    "GOLDEN_TOLERANCE",
    "HOLDOUT_FILE",
    "NIGHTS_FILE",
    "REFERENCE_FILE",
    "Environments",
    "ModelVersion",
    "Needed",
    "Registry",
    "TrainingFacts",
    "VersionRef",
    "accept",
    "band_of",
    "changed",
    "declared",
    "largest_difference",
    "library_versions",
    "narrowed",
    "packages_of",
    "unpickled",
]
