"""How a model version turns its probabilities into the ``prediction`` that is published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from scoring.errors import PredictionError
from scoring.job import BINARY, MULTICLASS, REGRESSION, SCORE, Job, Task

if TYPE_CHECKING:
    import pandas as pd

By = Literal["half", "label.threshold", "threshold", "largest", "predict", "uncalibrated", "value"]
NEAR = 1e-9
"""Distance of a probability from the threshold, or from the second largest, within which ``predict`` decides."""
_THRESHOLDS = ("FixedThresholdClassifier", "TunedThresholdClassifierCV")
_SEARCHES = ("GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV")
_MOST_PROBABLE = frozenset(
    {
        "BernoulliNB",
        "CalibratedClassifierCV",
        "CategoricalNB",
        "ComplementNB",
        "DecisionTreeClassifier",
        "ExtraTreeClassifier",
        "ExtraTreesClassifier",
        "GaussianNB",
        "GradientBoostingClassifier",
        "HistGradientBoostingClassifier",
        "LogisticRegression",
        "LogisticRegressionCV",
        "MLPClassifier",
        "MultinomialNB",
        "RandomForestClassifier",
    }
)
"""Classifiers of scikit-learn whose ``predict`` is the most probable class. Of every other one ``predict`` is called."""


@dataclass(frozen=True)
class Decision:
    """The way to a class: a threshold on the probability, the largest probability, or the pipeline's ``predict``."""

    by: By
    """``half``: 0.5 whatever the pipeline says, as versions did that were made before decisions were recorded."""
    threshold: float | None = None
    origin: str = ""
    """Name of the class in the pipeline that decides, scikit-learn's or the user's."""

    @property
    def words(self) -> str:
        """Return the decision in words.

        >>> Decision("threshold", 0.3, "FixedThresholdClassifier").words
        'true from probability 0.3 on (FixedThresholdClassifier)'
        >>> Decision("predict", None, "Cautious").words
        "what the pipeline's predict says (Cautious)"
        """
        if self.by == "value":
            return "the predicted value"
        source = f" ({self.origin})" if self.origin else ""
        if self.threshold is not None:
            return f"true from probability {self.threshold:.6g} on{source}"
        if self.by in ("largest", "half"):
            return f"the most probable class{source}"
        before = ", before calibration" if self.by == "uncalibrated" else ""
        return f"what the pipeline's predict says{before}{source}"


@dataclass(frozen=True)
class Rule:
    """How a version's rows are scored: its decision, and the number of rows in each call if that must be fixed."""

    decision: Decision
    block_rows: int | None = None
    """None for trees, which give a row the same bits in calls of any size. The last bit of a matrix product depends on
    the number of rows, unless that is always the same."""

    def facts(self) -> dict[str, Any]:
        """Return the rule for a version's facts."""
        return {"decision": asdict(self.decision), "block_rows": self.block_rows}

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any], job: Job) -> Self:
        """Return the rule of a version from its facts. A version without a rule keeps the decision of that time."""
        if "decision" not in facts:
            return cls(decision_before_rules(job))
        return cls(Decision(**facts["decision"]), facts["block_rows"])


_VALUE = Decision("value")
_NUMBERS: Mapping[Task, Decision] = {REGRESSION: _VALUE, SCORE: _VALUE}
_BEFORE_RULES: dict[Task, Decision] = {BINARY: Decision("half", 0.5), MULTICLASS: Decision("half"), **_NUMBERS}
_PLAIN: dict[Task, Decision] = {BINARY: Decision("threshold", 0.5), MULTICLASS: Decision("largest"), **_NUMBERS}
"""How scikit-learn's classifiers decide without a threshold of the user."""


def decision_before_rules(job: Job) -> Decision:
    """Return how versions decided before decisions were recorded: at 0.5, or for the most probable class."""
    return _BEFORE_RULES[job.task]


def decision_of(pipeline: Any, job: Job) -> Decision:
    """Return how a fitted pipeline decides: ``label.threshold`` of the job if it has one, else as its ``predict`` does.

    A threshold on the probability is recognised where ``predict`` is known to be one. Where ``training.calibration``
    wrapped a pipeline with a decision of its own, that one's ``predict`` decides.
    """
    if not job.task.classifies:
        return _VALUE
    if job.label.threshold is not None:
        return Decision("label.threshold", job.label.threshold, "label.threshold")
    inner = uncalibrated(pipeline)
    if job.training.calibration != "none" and not _decides_plainly(inner):
        return Decision("uncalibrated", None, _own(inner, job).origin)
    return _own(pipeline, job)


def uncalibrated(pipeline: Any) -> Any:
    """Return the pipeline inside the calibration that ``training.calibration`` put around it, or the pipeline itself."""
    if sklearn_name(pipeline) == "CalibratedClassifierCV" and sklearn_name(pipeline.estimator) == "FrozenEstimator":
        return pipeline.estimator.estimator
    return getattr(pipeline, "nightshift_uncalibrated", pipeline)  # that of another process is asked for it


def chosen_classes(
    pipeline: Any, frame: Callable[[], pd.DataFrame], chances: np.ndarray, decision: Decision, job: Job
) -> np.ndarray:
    """Return the index of each row's class in the pipeline's classes, shape (rows,). ``chances`` is (rows, classes).

    ``predict`` is called, and the frame made, only where the probabilities do not settle it. Raises ``PredictionError`` for
    what is no class.
    """
    if decision.by in ("predict", "uncalibrated"):
        return _predicted(pipeline if decision.by == "predict" else uncalibrated(pipeline), frame(), job)
    if decision.by == "half" and decision.threshold is None:
        return _first_declared(chances, job)
    if decision.by == "largest":
        places, ranked = chances.argmax(axis=1), np.sort(chances, axis=1)
        near = ranked[:, -1] - ranked[:, -2] < NEAR
    else:
        places = (chances[:, 1] >= decision.threshold).astype(np.intp)
        near = np.abs(chances[:, 1] - decision.threshold) < NEAR
    if decision.by in ("half", "label.threshold") or not near.any():
        return np.asarray(places)
    return np.where(near, _predicted(pipeline, frame(), job), places)


def _first_declared(chances: np.ndarray, job: Job) -> np.ndarray:
    """Return the index of the most probable class. Of equal ones it is the class that the job declares first."""
    order = np.argsort(np.argsort(job.label.classes or []))
    return np.asarray(order[chances[:, order].argmax(axis=1)])


def _predicted(pipeline: Any, frame: pd.DataFrame, job: Job) -> np.ndarray:
    labels = np.asarray(pipeline.predict(frame))
    if labels.shape != (len(frame),):
        raise PredictionError(
            f"predict of the pipeline of {job.name}", found=f"shape {labels.shape}", expected=f"shape {(len(frame),)}"
        )
    places = {str(name): place for place, name in enumerate(pipeline.classes_)}
    strange = sorted({str(label) for label in set(labels.tolist())} - set(places))
    if strange:
        raise PredictionError(
            f"predict of the pipeline of {job.name}", found=str(strange[:5]), expected=f"one of {sorted(places)}"
        )
    return np.array([places[str(label)] for label in labels], dtype=np.intp)


def _own(pipeline: Any, job: Job) -> Decision:
    model = last_estimator(pipeline)
    name = type(model).__name__
    if sklearn_name(model) in _THRESHOLDS:
        threshold = _probability_threshold(model)
        return Decision("predict" if threshold is None else "threshold", threshold, name)
    if sklearn_name(model) in _MOST_PROBABLE:
        return replace(_PLAIN[job.task], origin=name)
    return Decision("predict", None, name)


def _decides_plainly(pipeline: Any) -> bool:
    """Return whether a pipeline decides as scikit-learn's classifiers do when nobody sets a threshold."""
    model = last_estimator(pipeline)
    module = getattr(type(model).predict, "__module__", "")
    return module.startswith("sklearn.") and sklearn_name(model) not in _THRESHOLDS


def last_estimator(model: Any) -> Any:
    """Return the estimator whose ``predict`` a pipeline, a search or a frozen estimator passes on."""
    while True:
        name = sklearn_name(model)
        if name == "Pipeline":
            model = model.steps[-1][1]
        elif name in _SEARCHES:
            model = model.best_estimator_
        elif name == "FrozenEstimator":
            model = model.estimator
        else:
            return model


def sklearn_name(model: Any) -> str:
    """Return the name of an estimator's class if it is scikit-learn's own, else an empty text."""
    kind = type(model)
    return kind.__name__ if kind.__module__.startswith("sklearn.") else ""


def _probability_threshold(model: Any) -> float | None:
    """Return the threshold on the probability of true, or None for a threshold on another number."""
    if model.response_method not in ("auto", "predict_proba"):
        return None
    if sklearn_name(model) == "TunedThresholdClassifierCV":  # a scorer object may have another positive class
        return float(model.best_threshold_) if isinstance(model.scoring, str) else None
    if model.pos_label is not None and model.pos_label != model.classes_[1]:
        return None
    return 0.5 if model.threshold == "auto" else float(model.threshold)
