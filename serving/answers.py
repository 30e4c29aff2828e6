"""The answer to the rows of a request: a prediction for each that keeps the contract, the reasons for each that does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from scoring.rows import repeated, row_hashes
from serving.columns import Row, batch_of, kinds_of
from serving.versions import Answering, Served

FEW_ROWS = 1_000
"""Rows up to which Python's look at each value is faster than the contract's at each column."""
_PLACE = ".row"
"""Column with each row's place, beside the job's, none of which can begin with a dot."""
NO_ROW = "row:not_an_object"
MISSING = "missing"
"""The rule that a row breaks which does not name a column. Null has to be said: a misspelt name would be null unnoticed."""


@dataclass(frozen=True)
class Answer:
    """What is said of each row, in the order of the request."""

    rows: list[dict[str, Any]]
    versions: Counter[int] = field(default_factory=Counter)
    """Rows by the version that scored them."""

    @property
    def accepted(self) -> int:
        """Return how many rows were scored."""
        return self.versions.total()


def answer(by: Answering, rows: Sequence[Any], top: int = 0) -> Answer:
    """Return the answer to rows, each an object of JSON or whatever else came in its place.

    With ``top`` each prediction has its largest contributions. Raises ``PredictionError`` if a version cannot explain any.
    """
    batch = by.champion.plain.batch(rows) if len(rows) <= FEW_ROWS else None
    return _judged(by, rows, top) if batch is None else _scored(by, batch, top)


def _judged(by: Answering, rows: Sequence[Any], top: int) -> Answer:
    """Return the answer to rows of which some may break the contract."""
    reasons = [_malformed(row, by.champion.job.columns) for row in rows]
    whole = [place for place, broken in enumerate(reasons) if not broken]
    accepted = np.zeros(len(rows), dtype=bool)
    answers: list[dict[str, Any]] = [{"reasons": broken} for broken in reasons]
    if not whole:
        return Answer(answers)
    batch, refused = _split(by.champion, [rows[place] for place in whole])
    accepted[whole] = True
    for place, broken in refused.items():
        answers[whole[place]] = {"reasons": broken}
        accepted[whole[place]] = False
    scored = _scored(by, batch, top)
    for place, said in zip(np.flatnonzero(accepted).tolist(), scored.rows, strict=True):
        answers[place] = said
    return Answer(answers, scored.versions)


def _malformed(row: Any, columns: Sequence[str]) -> list[str]:
    if not isinstance(row, dict):
        return [NO_ROW]
    return [f"{name}:{MISSING}" for name in columns if name not in row]


def _split(served: Served, rows: Sequence[Row]) -> tuple[pa.RecordBatch, dict[int, list[str]]]:
    """Return the rows that keep the contract, and the reasons of the others by their place."""
    batch = batch_of(rows, kinds_of(served.job)).append_column(_PLACE, pa.array(range(len(rows))))
    duplicate = _duplicates(served, batch)
    split = served.contract.split(batch, duplicate if duplicate.any() else None)
    places = split.quarantined.column(_PLACE).to_pylist()
    reasons = split.quarantined.column("reasons").to_pylist()
    return split.accepted, {int(place): broken for place, broken in zip(places, reasons, strict=True)}


def _duplicates(served: Served, batch: pa.RecordBatch) -> np.ndarray:
    """Return which rows have a key that another row has too. Keys that cannot be read are refused for that."""
    names = list(served.job.key)
    keys = served.contract.keys_of(batch).select(names)
    whole = np.logical_and.reduce([keys.column(name).is_valid().to_numpy(zero_copy_only=False) for name in names])
    hashes = row_hashes(keys)
    return np.asarray(whole & np.isin(hashes, repeated([hashes[whole]])))


def _scored(by: Answering, batch: pa.RecordBatch, top: int) -> Answer:
    """Return predictions in the order of the batch, by the version that each key belongs to."""
    challenged = by.challenged(batch)
    if by.challenger is None or challenged is None or not challenged.any():
        return _by_one(by.champion, batch, top)
    parts = [(by.champion, np.flatnonzero(~challenged)), (by.challenger, np.flatnonzero(challenged))]
    rows: list[dict[str, Any]] = [{}] * batch.num_rows
    versions: Counter[int] = Counter()
    for served, places in parts:
        said = _by_one(served, batch.take(pa.array(places)), top)
        versions += said.versions
        for place, row in zip(places.tolist(), said.rows, strict=True):
            rows[place] = row
    return Answer(rows, versions)


def _by_one(served: Served, batch: pa.RecordBatch, top: int) -> Answer:
    if batch.num_rows == 0:
        return Answer([])
    predictions, number, threshold = served.predict(batch), served.number, served.threshold
    names = predictions.schema.names[len(served.job.key) :]
    columns = [predictions.column(name).to_pylist() for name in names]
    facts = {"threshold": threshold, "model_version": number}
    rows = [{**dict(zip(names, values, strict=True)), **facts} for values in zip(*columns, strict=True)]
    if top:
        explained = served.contributions(batch, predictions, top)
        rows = [{**row, "contributions": parts} for row, parts in zip(rows, explained, strict=True)]
    return Answer(rows, Counter({number: batch.num_rows}))
