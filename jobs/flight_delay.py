"""The pipeline behind ``flight_delay``."""

from __future__ import annotations

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

CATEGORIES = ["carrier", "origin", "dest"]


def build_pipeline() -> Pipeline:
    """Return an unfitted pipeline: categories as codes, then gradient boosting that takes nulls as they are."""
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan, min_frequency=20
    )
    return make_pipeline(
        make_column_transformer((codes, CATEGORIES), remainder="passthrough"),
        HistGradientBoostingClassifier(
            max_iter=100, categorical_features=list(range(len(CATEGORIES))), early_stopping=False, random_state=0
        ),
    )
