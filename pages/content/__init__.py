"""What the pages show, read from the warehouse into one mapping for each template."""

from pages.content.backtest import backtest_page
from pages.content.column import column_page
from pages.content.job import job_page
from pages.content.night import night_page, place_of_run
from pages.content.overview import overview_page
from pages.content.places import Places, View
from pages.content.retrainings import version_of_run
from pages.content.version import card_view, version_page

__all__ = [
    "Places",
    "View",
    "backtest_page",
    "card_view",
    "column_page",
    "job_page",
    "night_page",
    "overview_page",
    "place_of_run",
    "version_of_run",
    "version_page",
]
