"""Which retraining policy would have done how well on the nights that a job has behind it."""

from lifecycle.backtest.backtest import backtest, first_night
from lifecycle.backtest.figures import gain_over, loss_of_run
from lifecycle.backtest.fits import Fits
from lifecycle.backtest.history import History, Version
from lifecycle.backtest.life import Life, Policy, Run, Trigger, lived
from lifecycle.backtest.policies import DEFAULT, NAMES, policy_of
from lifecycle.backtest.result import ungated
from lifecycle.backtest.triggers import every, governor, monthly, never

__all__ = [
    "DEFAULT",
    "NAMES",
    "Fits",
    "History",
    "Life",
    "Policy",
    "Run",
    "Trigger",
    "Version",
    "backtest",
    "every",
    "first_night",
    "gain_over",
    "governor",
    "lived",
    "loss_of_run",
    "monthly",
    "never",
    "policy_of",
    "ungated",
]
