"""A pipeline taken apart: what comes before its model, the model, and what is put around it."""

from __future__ import annotations

import copy
from typing import Any

from scoring.rows.decision import sklearn_name

_WRAPPERS = {
    "GridSearchCV": "best_estimator_",
    "RandomizedSearchCV": "best_estimator_",
    "HalvingGridSearchCV": "best_estimator_",
    "HalvingRandomSearchCV": "best_estimator_",
    "FrozenEstimator": "estimator",
    "FixedThresholdClassifier": "estimator_",
    "TunedThresholdClassifierCV": "estimator_",
}
"""Where estimators that pass ``predict_proba`` on have the one that they pass it to."""


class Unwrapped:
    """The transformers of a pipeline in order, its model, and the calibrations around that, the outermost first."""

    def __init__(self, pipeline: Any) -> None:
        """Take the pipeline apart as far as its parts are scikit-learn's own."""
        self.steps: list[Any] = []
        self._calibrations: list[Any] = []
        model = pipeline
        while (name := sklearn_name(model)) in ("Pipeline", *_WRAPPERS) or self._is_calibration(model):
            if name == "Pipeline":
                self.steps += [step for _, step in model.steps[:-1] if step not in (None, "passthrough")]
                model = model.steps[-1][1]
            elif name in _WRAPPERS:
                model = getattr(model, _WRAPPERS[name])
            else:
                self._calibrations.append(model)
                model = model.calibrated_classifiers_[0].estimator
        self.model = model

    def around(self, model: Any) -> Any:
        """Return the calibrations around another model, without the steps: it is given what the model is given."""
        for calibration in reversed(self._calibrations):
            inner, outer = copy.copy(calibration.calibrated_classifiers_[0]), copy.copy(calibration)
            inner.estimator, outer.calibrated_classifiers_ = model, [inner]
            model = outer
        return model

    def _is_calibration(self, model: Any) -> bool:
        return sklearn_name(model) == "CalibratedClassifierCV" and len(model.calibrated_classifiers_) == 1
