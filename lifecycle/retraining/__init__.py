"""One retraining: its record, and a function per task."""

from lifecycle.retraining.judging import judge_version
from lifecycle.retraining.record import RetrainingRequest, abandon, announce, begin, end
from lifecycle.retraining.tasks import (
    evaluate,
    gate,
    promote,
    resume,
    retrain,
    shadow_passed,
    snapshot,
    start_shadow,
    train,
)

__all__ = [
    "RetrainingRequest",
    "abandon",
    "announce",
    "begin",
    "end",
    "evaluate",
    "gate",
    "judge_version",
    "promote",
    "resume",
    "retrain",
    "shadow_passed",
    "snapshot",
    "start_shadow",
    "train",
]
