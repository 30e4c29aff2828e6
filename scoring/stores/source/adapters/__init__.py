"""How each kind of database is read: one table, by the name that a URL begins with."""

from scoring.stores.source.adapters.table import adapter_of

__all__ = ["adapter_of"]
