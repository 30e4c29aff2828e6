"""A job's SQL on its source: parameters, types, times, and rows as Arrow batches; and a table that a job begins from."""

from scoring.stores.source.query import Query
from scoring.stores.source.source_table import SourceTable, TableColumn
from scoring.stores.source.stage import Stage, StagePlace
from scoring.stores.source.staging import drop_stage, read_stage, stage_rows, stages_in
from scoring.stores.source.stream import compared_types, orders_text_as_bytes, stream
from scoring.stores.source.table import ends_of, read_table

__all__ = [
    "Query",
    "SourceTable",
    "Stage",
    "StagePlace",
    "TableColumn",
    "compared_types",
    "drop_stage",
    "ends_of",
    "orders_text_as_bytes",
    "read_stage",
    "read_table",
    "stage_rows",
    "stages_in",
    "stream",
]
