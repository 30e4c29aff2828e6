"""Why the predictions of a pipeline have no exact reasons."""

SUPPORTED = (
    "a Pipeline of transformers that treat each column by itself (ColumnTransformer, encoders, scalers, imputers, or any "
    "transformer of a single column) and a model of: HistGradientBoosting, GradientBoosting, RandomForest, ExtraTrees, "
    "DecisionTree, ExtraTree, linear and logistic regression and their relatives of sklearn.linear_model, LightGBM, XGBoost, "
    "CatBoost"
)
"""What is covered, in words."""


class Unexplained(Exception):
    """A pipeline, or a part of it, whose predictions have no exact reasons. Its text says which."""
