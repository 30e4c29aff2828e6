"""Where the lines, marks and cells of a plot stand. Templates draw them."""

from pages.plots.backtest import ageing_plot, policy_plot
from pages.plots.calendar import QUALITY, STATES, State, months, state_of
from pages.plots.forest import forest_plot
from pages.plots.model_card import calibration_plot, gain_plot, importance_plot
from pages.plots.nights import column_plots, performance_plot, score_plot
from pages.plots.shift import bars_of

__all__ = [
    "QUALITY",
    "STATES",
    "State",
    "ageing_plot",
    "bars_of",
    "calibration_plot",
    "column_plots",
    "forest_plot",
    "gain_plot",
    "importance_plot",
    "months",
    "performance_plot",
    "policy_plot",
    "score_plot",
    "state_of",
]
