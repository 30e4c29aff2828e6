"""A job's SQL on its source: parameters, types, times, and rows as Arrow batches; and a table that a job begins from."""

from scoring.stores.source.file_stage import FileStage
from scoring.stores.source.query import Query
from scoring.stores.source.source_table import SourceTable, TableColumn
from scoring.stores.source.stage import AnyStage, Stage, StagePlace, part_of, stage_from
from scoring.stores.source.staging import drop_stage, read_stage, slice_files, stage_rows, stages_in
from scoring.stores.source.stream import compared_types, orders_text_as_bytes, stream
from scoring.stores.source.table import ends_of, read_table

__all__ = [
    "AnyStage",
    "FileStage",
    "Query",
    "SourceTable",
    "Stage",
    "StagePlace",
    "TableColumn",
    "compared_types",
    "drop_stage",
    "ends_of",
    "orders_text_as_bytes",
    "part_of",
    "read_stage",
    "read_table",
    "slice_files",
    "stage_from",
    "stage_rows",
    "stages_in",
    "stream",
]
