"""Erasure: the rows of an entity removed from every store of a job."""

from lifecycle.erasure.erasure import forget, plan
from lifecycle.erasure.key import EntityKey

__all__ = ["EntityKey", "forget", "plan"]
