"""The classes of models whose files do not name them."""

from __future__ import annotations

from typing import Any

import numpy as np

from scoring.job import Job


def classes_for(job: Job) -> list[Any]:
    """Return the classes of a model whose file names none: 0 and 1, or the declared ones in alphabetical order.

    So scikit-learn, and all that encodes labels with it, orders them.
    """
    return list(job.task.fitted_classes(job.label.classes or []))


def labels_of(labels: Any, classes: list[Any]) -> np.ndarray:
    """Return a model's labels as classes: numbers are places in the list of classes where the classes are names."""
    values = np.asarray(labels).reshape(-1)
    if values.dtype.kind in "biuf" and classes and isinstance(classes[0], str):
        values = np.array(classes, dtype=object)[values.astype(int)]
    return values
