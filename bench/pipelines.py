"""The pipelines that the bench scores with, besides the demo's own: the same inputs, other models."""

from __future__ import annotations

from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from jobs.flights import BOOSTING, CATEGORIES, coded


def hgb_300() -> Pipeline:
    """Return gradient boosting with 300 trees."""
    return coded(HistGradientBoostingClassifier(**{**BOOSTING, "max_iter": 300}))


def forest_200() -> Pipeline:
    """Return a random forest of 200 trees, each grown on half of the rows, with at least 20 rows in a leaf."""
    return coded(RandomForestClassifier(n_estimators=200, min_samples_leaf=20, max_samples=0.5, random_state=0))


def logistic() -> Pipeline:
    """Return a logistic regression on one-hot categories and scaled numbers."""
    categories = OneHotEncoder(handle_unknown="ignore", min_frequency=20)
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return make_pipeline(
        make_column_transformer((categories, CATEGORIES), remainder=numbers), LogisticRegression(max_iter=500)
    )


def hgb_of_numbers() -> Pipeline:
    """Return gradient boosting with 100 trees on columns of numbers."""
    return make_pipeline(HistGradientBoostingClassifier(max_iter=100, early_stopping=False, random_state=0))
