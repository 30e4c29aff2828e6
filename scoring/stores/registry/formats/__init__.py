"""Formats of an artifact: how the bytes of a version become an object that predicts."""

from scoring.stores.registry.formats.by_place import names_of as columns_of
from scoring.stores.registry.formats.table import (
    FORMATS,
    JOBLIB,
    Format,
    artifact_in,
    format_named,
    opened,
    unknown_types,
    with_inputs,
)
from scoring.stores.registry.formats.writing import stored_as

__all__ = [
    "FORMATS",
    "JOBLIB",
    "Format",
    "artifact_in",
    "columns_of",
    "format_named",
    "opened",
    "stored_as",
    "unknown_types",
    "with_inputs",
]
