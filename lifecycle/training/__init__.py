"""From the rows of a window of nights to a registered model version."""

from lifecycle.training.fit import batch_of, fit, fit_and_hold_out, fits, kind_of, out_of_fold, parted
from lifecycle.training.made_up_rows import levels_of, made_up_rows, may_be_null, may_be_unseen
from lifecycle.training.reasons import predicted
from lifecycle.training.reference import reference_nights
from lifecycle.training.rows import NIGHT, read_rows
from lifecycle.training.snapshot import Snapshot, erase_rows, load, take
from lifecycle.training.train import Trained, TrainingRequest, recipe_of, train, train_on
from lifecycle.training.version_folder import pickled
from lifecycle.training.window import known_before, left_out, training_window, unseen_from

__all__ = [
    "NIGHT",
    "Snapshot",
    "Trained",
    "TrainingRequest",
    "batch_of",
    "erase_rows",
    "fit",
    "fit_and_hold_out",
    "fits",
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
    "read_rows",
    "recipe_of",
    "reference_nights",
    "take",
    "train",
    "train_on",
    "training_window",
    "unseen_from",
]
