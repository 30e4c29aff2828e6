"""Names of jobs and columns: which are reserved, and how a source's column is called in the warehouse."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

JOB_LETTERS = 35
"""Letters of the longest job name: with it the table of a month, ``<job>_predictions_history_2013_04``, has 63 bytes."""
IDENTIFIER_BYTES = 63
"""Bytes of the longest name in PostgreSQL, which cuts off the rest of a longer one."""
COLUMN_LETTERS = 128
"""Characters of the longest column name in any of the supported source databases."""
JOB_PATTERN = rf"^[a-z][a-z0-9_]{{0,{JOB_LETTERS - 1}}}$"
SOURCE_PATTERN = r"^[a-z][a-z0-9_]{0,39}$"
COLUMN_PATTERN = rf"^[^.\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]{{0,{COLUMN_LETTERS - 1}}}$"
"""Any name but one that begins with a dot, which Arrow reads as a path when tables are joined."""
_OF_PREDICTIONS = "night run_id run_number prediction probability model_version scored_at"
_OF_PUBLICATIONS_AND_QUARANTINE = "visible_from visible_until reasons"
_OF_TRAINING_AND_MONITORING = "outcome predicted probability_grid nightshift_label nightshift_night"
_OF_REQUESTS = "nightshift_request nightshift_row nightshift_role nightshift_features"
RESERVED = frozenset(
    f"{_OF_PREDICTIONS} {_OF_PUBLICATIONS_AND_QUARANTINE} {_OF_TRAINING_AND_MONITORING} {_OF_REQUESTS}".split()
)
"""Columns that Nightshift adds to its tables and files. No key or feature may have one of these names."""
SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
"""Columns that every table of PostgreSQL has. A key becomes a column, so it cannot have one of these names."""


def plain(name: str) -> str:
    """Return the name of a key column in the warehouse, which analysts can write without quotes.

    Lower case; anything but letters, digits and ``_`` becomes ``_``; a digit in front gets one before it. A name that is
    plain already stays as it is. Empty for a name without a letter or digit.

    >>> plain("SeniorCitizen"), plain("Total Charges (€)"), plain("Größe"), plain("1st"), plain("?")
    ('seniorcitizen', 'total_charges', 'größe', '_1st', '')
    """
    lower = unicodedata.normalize("NFC", name.lower())
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", lower):
        lower = re.sub(r"[\W_]+", "_", lower).strip("_")
    return f"_{lower}" if lower[:1].isdigit() else lower


def class_column(name: str) -> str:
    """Return the column of a class's probability.

    >>> class_column("Zeta Class")
    'probability_zeta_class'
    """
    return f"probability_{re.sub(r'[^a-z0-9]+', '_', name.lower()).strip('_')}"


def refuse_columns(keys: Collection[str], features: Collection[str], probabilities: Sequence[str]) -> None:
    """Raise ``ValueError`` for keys and features whose names are reserved, clash, or equal a probability column."""
    reserved = sorted({name for name in keys if plain(name) in RESERVED} | (RESERVED & {*features}))
    if reserved:
        raise ValueError(f"column names are reserved for predictions: {reserved}, {_advice(reserved[0])}")
    clash = sorted({name for name in keys if plain(name) in probabilities} | ({*probabilities} & {*features}))
    if clash:
        raise ValueError(f"found column names that predictions have as well: {clash}, {_advice(clash[0])}")
    for name in keys:
        _refuse_key(name)
    for first, second in _alike(keys, plain):
        raise ValueError(
            f"key: found {first!r} and {second!r}, which are both {plain(first)} in the warehouse, {_advice(second)}"
        )


def select_advice(missing: Sequence[str], present: Sequence[str]) -> str:
    """Return what to do about missing columns. A column that differs in upper case only was not in quotes."""
    lower = {name.lower() for name in present}
    folded = next((name for name in missing if name.lower() in lower), None)
    if folded is None:
        return "select the missing columns, or take them out of the job file"
    return f'write "{folded}" in double quotes in the SQL: without them PostgreSQL makes a name lower case'


def _refuse_key(name: str) -> None:
    column = plain(name)
    if not column:
        raise ValueError(f"key: found {name!r}, expected a letter or digit in it")
    if column in SYSTEM_COLUMNS:
        raise ValueError(f"key: found {name!r}, which every table of PostgreSQL has already, {_advice(name)}")
    if len(column.encode()) > IDENTIFIER_BYTES:
        raise ValueError(
            f"key: found {name!r} of {len(column.encode())} bytes, expected at most {IDENTIFIER_BYTES}, as PostgreSQL has"
        )


def refuse_classes(classes: Sequence[str]) -> None:
    """Raise ``ValueError`` unless every class gives a column of its own that PostgreSQL can have."""
    for name in classes:
        column = class_column(name)
        if column == class_column(""):
            raise ValueError(f"label.classes: found {name!r}, expected a letter a to z or a digit, to name a column by")
        if len(column.encode()) > IDENTIFIER_BYTES:
            longest = IDENTIFIER_BYTES - len(class_column(""))
            raise ValueError(f"label.classes: found {name!r}, expected at most {longest} letters, to name a column by")
    for first, second in _alike(classes, class_column):
        raise ValueError(
            f"label.classes: two classes give the same column name: found {first!r} and {second!r}, expected classes "
            f"that are not both {class_column(first)}"
        )


def _alike(names: Iterable[str], rule: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of names for which ``rule`` gives the same name."""
    first: dict[str, str] = {}
    for name in names:
        if rule(name) in first:
            yield first[rule(name)], name
        first.setdefault(rule(name), name)


def _advice(name: str) -> str:
    column = name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else f'"{name}"'
    return f"expected another: `select {column} as other_name` in the SQL"
