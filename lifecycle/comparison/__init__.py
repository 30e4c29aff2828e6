"""A challenger against the champion: both on the same holdout rows, the gate, the model card."""

from lifecycle.comparison.evaluate import compare, losses_from
from lifecycle.comparison.gate import Judgement, Losses, gain_of, holdout_nights, judge, judge_predecessor, judge_shadow
from lifecycle.comparison.model_card import card_of, page_of

__all__ = [
    "Judgement",
    "Losses",
    "card_of",
    "compare",
    "gain_of",
    "holdout_nights",
    "judge",
    "judge_predecessor",
    "judge_shadow",
    "losses_from",
    "page_of",
]
