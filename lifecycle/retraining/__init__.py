"""One retraining: its record, and a function per task."""

from lifecycle.retraining.record import Request, abandon, announce, begin, end
from lifecycle.retraining.tasks import (
    assess,
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
    "Request",
    "abandon",
    "announce",
    "assess",
    "begin",
    "end",
    "gate",
    "promote",
    "resume",
    "retrain",
    "shadow_passed",
    "snapshot",
    "start_shadow",
    "train",
]
