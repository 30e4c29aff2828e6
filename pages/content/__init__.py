"""What the pages show, read from the warehouse into one mapping for each template."""

from pages.content.column import column_page
from pages.content.job import job_page
from pages.content.night import night_page
from pages.content.overview import overview_page
from pages.content.version import version_page

__all__ = ["column_page", "job_page", "night_page", "overview_page", "version_page"]
