"""Versions in the shadow: scored beside the publication, then judged by the outcomes."""

from lifecycle.shadow.review import review
from lifecycle.shadow.score import in_shadow, pin, shadow_run

__all__ = ["in_shadow", "pin", "review", "shadow_run"]
