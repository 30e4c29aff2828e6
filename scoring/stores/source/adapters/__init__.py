"""How each kind of database is read: one table, by the name that a URL begins with."""

from scoring.stores.source.adapters.duckdb_table import ends_in_duckdb, read_duckdb
from scoring.stores.source.adapters.table import Staging, adapter_of

__all__ = ["Staging", "adapter_of", "ends_in_duckdb", "read_duckdb"]
