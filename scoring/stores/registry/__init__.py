"""Model versions: their files, golden rows and sha256, in MLflow."""

from scoring.rows.reasons import MeanContributions
from scoring.stores.registry.accepting import accept
from scoring.stores.registry.band import band_of
from scoring.stores.registry.declaration import declared, narrowed
from scoring.stores.registry.environments import PICKLE, Environments, Needed
from scoring.stores.registry.explaining import REASONS_FILE, VersionReasons, no_reasons
from scoring.stores.registry.facts import TrainingFacts
from scoring.stores.registry.formats import (
    FORMATS,
    Format,
    columns_of,
    opened,
    stored_as,
    unknown_types,
    with_inputs,
)
from scoring.stores.registry.golden import GOLDEN_TOLERANCE, largest_difference, library_versions
from scoring.stores.registry.loading import unpickled
from scoring.stores.registry.opening import changed
from scoring.stores.registry.packages import packages_of
from scoring.stores.registry.registry import Registry
from scoring.stores.registry.version import (
    ARTIFACT,
    BAND_FILE,
    FACTS,
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
    "FACTS",
    "FORMATS",
    "GOLDEN_FILE",
    "GOLDEN_PREDICTIONS_FILE",
    "GOLDEN_TOLERANCE",
    "HOLDOUT_FILE",
    "NIGHTS_FILE",
    "PICKLE",
    "REASONS_FILE",
    "REFERENCE_FILE",
    "Environments",
    "Format",
    "MeanContributions",
    "ModelVersion",
    "Needed",
    "Registry",
    "TrainingFacts",
    "VersionReasons",
    "VersionRef",
    "accept",
    "band_of",
    "changed",
    "columns_of",
    "declared",
    "largest_difference",
    "library_versions",
    "narrowed",
    "no_reasons",
    "opened",
    "packages_of",
    "stored_as",
    "unknown_types",
    "unpickled",
    "with_inputs",
]
