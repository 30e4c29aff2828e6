"""A challenger against the champion: both on the same holdout rows, the gate, the model card."""

from lifecycle.comparison.evaluate import compare
from lifecycle.comparison.gate import (
    Judgement,
    Losses,
    gain_of,
    holdout_nights,
    judge,
    judge_predecessor,
    judge_shadow,
    without_labels,
)
from lifecycle.comparison.history import LEAST_SINCE_CHANGE, Rivals
from lifecycle.comparison.model_card import card_of, page_of
from lifecycle.comparison.recipe import Refit, block_of, blocks_of, pooled, spread_of_night
from lifecycle.comparison.refits import FOLLOWED_NIGHTS, ORIGINS, origins
from lifecycle.comparison.same_rows import losses_from

__all__ = [
    "FOLLOWED_NIGHTS",
    "LEAST_SINCE_CHANGE",
    "ORIGINS",
    "Judgement",
    "Losses",
    "Refit",
    "Rivals",
    "block_of",
    "blocks_of",
    "card_of",
    "compare",
    "gain_of",
    "holdout_nights",
    "judge",
    "judge_predecessor",
    "judge_shadow",
    "losses_from",
    "origins",
    "page_of",
    "pooled",
    "spread_of_night",
    "without_labels",
]
