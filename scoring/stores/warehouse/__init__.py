"""The warehouse: schema, bulk load, run ledger, pointer flip, analyst views. PostgreSQL, embedded or a server."""

from scoring.stores.warehouse.connection import Warehouse, open_warehouse

__all__ = ["Warehouse", "open_warehouse"]
