"""What `check` tries of a job before its first night."""

from lifecycle.checks.job import check_job

__all__ = ["check_job"]
