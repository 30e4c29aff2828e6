"""What the pipelines of the flight jobs share."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

CATEGORIES = ["carrier", "origin", "dest"]
BOOSTING: dict[str, Any] = {
    "max_iter": 100,
    "categorical_features": list(range(len(CATEGORIES))),
    "early_stopping": False,
    "random_state": 0,
}


def coded(model: Any) -> Pipeline:
    """Return an unfitted pipeline: categories as codes, first, then ``model``, which takes nulls as they are."""
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan, min_frequency=20
    )
    return make_pipeline(make_column_transformer((codes, CATEGORIES), remainder="passthrough"), model)
