"""Which retraining policy would have done how well on the nights that a job has behind it."""

from lifecycle.backtest.backtest import backtest, first_night
from lifecycle.backtest.fits import Fits
from lifecycle.backtest.history import History
from lifecycle.backtest.life import Policy, Run, lived
from lifecycle.backtest.policies import DEFAULT, NAMES, policy_of
from lifecycle.backtest.result import ungated
from lifecycle.backtest.triggers import governor

__all__ = [
    "DEFAULT",
    "NAMES",
    "Fits",
    "History",
    "Policy",
    "Run",
    "backtest",
    "first_night",
    "governor",
    "lived",
    "policy_of",
    "ungated",
]
