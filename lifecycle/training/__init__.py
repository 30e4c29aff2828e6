"""From the rows of a window of nights to a registered model version."""

from lifecycle.training.evaluator import chosen_evaluator
from lifecycle.training.fit import (
    HoldoutFit,
    batch_of,
    fit,
    fit_and_hold_out,
    fits,
    held_out,
    kind_of,
    out_of_fold,
    parted,
)
from lifecycle.training.made_up_rows import levels_of, made_up_rows, may_be_null, may_be_unseen
from lifecycle.training.reasons import predicted, write_reasons
from lifecycle.training.reference import reference_nights
from lifecycle.training.row_independence import proven_rule, reference_rows
from lifecycle.training.rows import NIGHT, Rows, read_rows
from lifecycle.training.snapshot import Snapshot, erase_rows, load, take
from lifecycle.training.train import Trained, TrainingRequest, recipe_of, train, train_on
from lifecycle.training.version_folder import Fitted, pickled, write_beside, write_reference
from lifecycle.training.window import known_before, left_out, training_window, unseen_from

__all__ = [
    "NIGHT",
    "Fitted",
    "HoldoutFit",
    "Rows",
    "Snapshot",
    "Trained",
    "TrainingRequest",
    "batch_of",
    "chosen_evaluator",
    "erase_rows",
    "fit",
    "fit_and_hold_out",
    "fits",
    "held_out",
    "kind_of",
    "known_before",
    "left_out",
    "levels_of",
    "load",
    "made_up_rows",
    "may_be_null",
    "may_be_unseen",
    "out_of_fold",
    "parted",
    "pickled",
    "predicted",
    "proven_rule",
    "read_rows",
    "recipe_of",
    "reference_nights",
    "reference_rows",
    "take",
    "train",
    "train_on",
    "training_window",
    "unseen_from",
    "write_beside",
    "write_reasons",
    "write_reference",
]
