"""What the pages show, read from the warehouse into one mapping for each template."""

from pages.content.job import column_page, job_page, night_page, overview
from pages.content.version import version_page

__all__ = ["column_page", "job_page", "night_page", "overview", "version_page"]
