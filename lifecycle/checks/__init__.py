"""What `check` tries of a job before its first night."""

from lifecycle.checks.job import check_job
from lifecycle.checks.preview import Preview, preview_night, shown

__all__ = ["Preview", "check_job", "preview_night", "shown"]
