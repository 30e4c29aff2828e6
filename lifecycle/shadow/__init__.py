"""Versions in the shadow: scored beside the publication, then judged by the outcomes."""

from lifecycle.shadow.review import review
from lifecycle.shadow.score import pin, shadow_run

__all__ = ["pin", "review", "shadow_run"]
