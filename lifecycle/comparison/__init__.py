"""A challenger against the champion: both on the same holdout rows, the gate, the model card."""

from lifecycle.comparison.evaluate import evaluate, losses_from
from lifecycle.comparison.gate import Judged, Losses, gain_of, holdout_nights, judge, judge_predecessor, judge_shadow
from lifecycle.comparison.model_card import card_of, page_of

__all__ = [
    "Judged",
    "Losses",
    "card_of",
    "evaluate",
    "gain_of",
    "holdout_nights",
    "judge",
    "judge_predecessor",
    "judge_shadow",
    "losses_from",
    "page_of",
]
