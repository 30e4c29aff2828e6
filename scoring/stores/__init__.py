"""The stores that a night is read from and written to: source, lake, model registry, warehouse."""

from scoring.stores import embedded
from scoring.stores.installation import Stores, open_stores, source_url, source_variable
from scoring.stores.labels import LABEL_COLUMN, Labels, labels_of, nights_of, read_labels
from scoring.stores.lake import SNAPSHOT_FACTS, SNAPSHOT_ROWS, Lake
from scoring.stores.reading import ahead, feature_batches
from scoring.stores.run_folder import RunFolder, RunInterval, ScoredChunk, masked_rows
from scoring.stores.unique_keys import RepeatedKeys
from scoring.stores.urls import libpq_url
from scoring.stores.workspace import Workspace, no_erasure

__all__ = [
    "LABEL_COLUMN",
    "SNAPSHOT_FACTS",
    "SNAPSHOT_ROWS",
    "Labels",
    "Lake",
    "RepeatedKeys",
    "RunFolder",
    "RunInterval",
    "ScoredChunk",
    "Stores",
    "Workspace",
    "ahead",
    "embedded",
    "feature_batches",
    "labels_of",
    "libpq_url",
    "masked_rows",
    "nights_of",
    "no_erasure",
    "open_stores",
    "read_labels",
    "source_url",
    "source_variable",
]
