"""Erasure: the rows of an entity removed from every store of a job."""

from lifecycle.erasure.erasure import forget, plan
from lifecycle.erasure.inventory import Inventory, Item
from lifecycle.erasure.key import EntityKey

__all__ = ["EntityKey", "Inventory", "Item", "forget", "plan"]
