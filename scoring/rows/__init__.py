"""Rows in, rows or numbers out, nothing read or written: contract, prediction, profile, digest."""

from scoring.rows.band import Band
from scoring.rows.bins import FEW_VALUES, PROBABILITY_GRID, PROFILED_PREDICTION, Bins, bins_from, bins_of
from scoring.rows.casting import ARROW_TYPES, read_as
from scoring.rows.contract import KEY_BYTES, Contract, Split, require_columns
from scoring.rows.decision import Decision, Rule, decision_of, last_estimator, sklearn_name
from scoring.rows.digest import Bits, RowsDigest, row_hashes
from scoring.rows.duplicates import Key, key_at, keys_as_text, mark_duplicates, repeated
from scoring.rows.floors import SMALLER_IS_BETTER, Check, constant_checks, constant_loss, floor_checks, holdout_metrics
from scoring.rows.mean_shift import NO_NIGHTS, UsualNights, allowed_shift, one_value_is_usual
from scoring.rows.outcome_values import counted, meanings, named, outcome_text, positive_of, require_positive
from scoring.rows.prediction import (
    Evaluator,
    certainty,
    label_type,
    outcome_type,
    predict,
    prediction_schema,
    to_frame,
    with_limits,
)
from scoring.rows.profile import Counts, Profile, merged, profiled
from scoring.rows.summary import ROUNDING, Summary
from scoring.rows.threads import one_thread, warnings_of_threads
from scoring.rows.value_text import as_found

__all__ = [
    "ARROW_TYPES",
    "FEW_VALUES",
    "KEY_BYTES",
    "NO_NIGHTS",
    "PROBABILITY_GRID",
    "PROFILED_PREDICTION",
    "ROUNDING",
    "SMALLER_IS_BETTER",
    "Band",
    "Bins",
    "Bits",
    "Check",
    "Contract",
    "Counts",
    "Decision",
    "Evaluator",
    "Key",
    "Profile",
    "RowsDigest",
    "Rule",
    "Split",
    "Summary",
    "UsualNights",
    "allowed_shift",
    "as_found",
    "bins_from",
    "bins_of",
    "certainty",
    "constant_checks",
    "constant_loss",
    "counted",
    "decision_of",
    "floor_checks",
    "holdout_metrics",
    "key_at",
    "keys_as_text",
    "label_type",
    "last_estimator",
    "mark_duplicates",
    "meanings",
    "merged",
    "named",
    "one_thread",
    "one_value_is_usual",
    "outcome_text",
    "outcome_type",
    "positive_of",
    "predict",
    "prediction_schema",
    "profiled",
    "read_as",
    "repeated",
    "require_columns",
    "require_positive",
    "row_hashes",
    "sklearn_name",
    "to_frame",
    "warnings_of_threads",
    "with_limits",
]
