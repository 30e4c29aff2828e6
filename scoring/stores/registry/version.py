"""A registered model version: the reference to it, and the loaded version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from scoring.job import Job
from scoring.rows import Bins, Evaluator, Rule, Summary, UsualNights, bins_from, predict
from scoring.rows.evaluation import SCIKIT_LEARN
from scoring.stores.registry.declaration import narrowed
from scoring.stores.registry.facts import TrainingFacts

ARTIFACT = "pipeline.joblib"


FACTS = "facts.json"


PROFILE = "reference_profile.json"


GOLDEN_FILE = "golden.parquet"


GOLDEN_PREDICTIONS_FILE = "golden_predictions.parquet"


FILES = (ARTIFACT, FACTS, PROFILE, GOLDEN_FILE, GOLDEN_PREDICTIONS_FILE)


CARDS = ("model_card.json", "model_card.html")
"""Files that are added to a version when it is compared. No code reads them: pages show the card of the warehouse."""


PARAMS = ("since", "until", "rows", "code_version", "features_sql_sha256", "labels_sql_sha256")
"""Facts that MLflow shows as parameters of the run that made a version."""


TAGS = ("snapshot", "recipe_sha256", "retraining_id")


NIGHTS_FILE = "reference_nights.json"


HOLDOUT_FILE = "holdout.parquet"


REFERENCE_FILE = "reference.parquet"


@dataclass(frozen=True)
class VersionRef:
    """A reference to a registered model version, with which it can be loaded and verified."""

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
    """Bins and the profile of every training night. Empty in older versions."""
    rule: Rule | None = None
    evaluator: Evaluator | None = field(repr=False, default=None)
    """What computes predictions in place of the pipeline, with the same bits, or None if the pipeline does."""
    scored_by: str = SCIKIT_LEARN
    """Name of the evaluator, or of scikit-learn with the reason why the version's own evaluator is not used."""
    features: tuple[str, ...] = ()
    """The features that it was trained with, in the order in which its pipeline takes them."""

    @property
    def stateless(self) -> bool:
        """Return whether no step of the pipeline, which may hold state, runs for a row, so that threads may share a copy."""
        settled = self.rule is not None and self.rule.decision.by not in ("predict", "uncalibrated")
        return settled and self.evaluator is not None and self.evaluator.stateless

    def predict(self, batch: pa.RecordBatch, job: Job) -> pa.RecordBatch:
        """Return one prediction per row, as ``scoring.rows.predict`` does, by the version's evaluator and rule.

        Columns of the batch that the version was not trained with make no difference.
        """
        return predict(self.pipeline, batch, self.job_of(job), self.rule, self.evaluator)

    def job_of(self, job: Job) -> Job:
        """Return the job as the version sees it: with its own features only."""
        return narrowed(job, self.features)

    @property
    def bins(self) -> dict[str, Bins]:
        """Return the bins in which the values of nights are counted."""
        return bins_from(self.nights.get("bins", {}))

    @property
    def reference(self) -> Summary:
        """Return the summary of the predictions on the reference."""
        return Summary.from_dict(self.profile["prediction"])

    @property
    def usual(self) -> UsualNights:
        """Return how the training nights differed from each other. The result is empty for older versions."""
        return UsualNights.from_dict(self.profile.get("usual_nights", {}))

    @property
    def categories(self) -> dict[str, list[str]]:
        """Return the categories seen at training, by column."""
        return categories_of(self.profile)


def categories_of(profile: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the categories seen at training, by column, of a version's reference profile."""
    return dict(profile.get("categories", {}))
