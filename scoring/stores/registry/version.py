"""A registered model version: what it is found by, and what is loaded of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from scoring.rows import Bins, Rule, Summary, UsualNights, bins_from
from scoring.stores.registry.facts import TrainingFacts

ARTIFACT = "pipeline.joblib"


FACTS = "facts.json"


FILES = (ARTIFACT, FACTS, "reference_profile.json", "golden.parquet", "golden_predictions.parquet")


TAGS = ("snapshot", "recipe_sha256", "retraining_id")


NIGHTS_FILE = "reference_nights.json"


HOLDOUT_FILE = "holdout.parquet"


@dataclass(frozen=True)
class VersionRef:
    """One registered model version: enough to load it, verified."""

    job: str
    version: int
    sha256: str
    uri: str
    """Folder of the version's files: a path, or an MLflow artifact URI."""


@dataclass(frozen=True)
class ModelVersion:
    """A loaded version: the fitted pipeline and what was stored with it."""

    ref: VersionRef
    pipeline: Any = field(repr=False)
    facts: TrainingFacts = field(repr=False)
    profile: dict[str, Any] = field(repr=False)
    nights: dict[str, Any] = field(repr=False, default_factory=dict)
    """Bins and the profile of every training night, empty for a version made before there were any."""
    rule: Rule | None = None

    @property
    def bins(self) -> dict[str, Bins]:
        """Return the bins that the version's nights are counted on."""
        return bins_from(self.nights.get("bins", {}))

    @property
    def reference(self) -> Summary:
        """Return the summary of the predictions on the reference."""
        return Summary.from_dict(self.profile["prediction"])

    @property
    def usual(self) -> UsualNights:
        """Return how the nights of training differed, empty for a version made before that was kept."""
        return UsualNights.from_dict(self.profile.get("usual_nights", {}))

    @property
    def categories(self) -> dict[str, list[str]]:
        """Return the categories seen at training, by column."""
        return dict(self.profile["categories"])
