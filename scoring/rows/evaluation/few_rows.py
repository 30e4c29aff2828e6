"""Sums of many trees for a few rows: all words of the model at once, where the time is in calls and not in rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np

ROWS = 16
"""Rows up to which this is faster than one pack of words after the other."""
_LARGEST = 16 * 2**20
"""Bytes of tables beyond which they are not copied for it."""
_FULL = np.uint64(2**64 - 1)


class Pack(Protocol):
    """What is read of a pack of words: see ``scoring.rows.evaluation.bitsets``."""

    @property
    def output(self) -> int:
        """Return the output that its trees add to."""

    @property
    def words(self) -> int:
        """Return how many words it has."""

    @property
    def tables(self) -> Sequence[tuple[int, np.ndarray]]:
        """Return columns, each with its entries by cell."""

    @property
    def values(self) -> np.ndarray:
        """Return the values by word and leaf."""


class FewRows:
    """The tables of all packs side by side. Several threads may use it at once."""

    def __init__(
        self, packs: Sequence[Pack], sizes: Sequence[int], start: np.ndarray, exponent: int, split: bool
    ) -> None:
        """Copy the tables. ``sizes`` are the cells of each column."""
        columns = sorted({column for pack in packs for column, _ in pack.tables})
        self._tables = [(column, self._table(packs, column, sizes[column])) for column in columns]
        width, leaves = 2 * packs[0].tables[0][1].shape[1], packs[0].values.shape[1]
        values = np.zeros((len(packs), width, leaves))
        for place, pack in enumerate(packs):
            values[place, : len(pack.values)] = pack.values
        self._values, self._start, self._exponent, self._split = values.ravel(), start, exponent, split
        self._offsets = np.arange(len(packs) * width) * leaves - exponent
        self._words = [
            np.concatenate(
                [np.arange(pack.words) + place * width for place, pack in enumerate(packs) if pack.output == output]
            )
            for output in range(len(start))
        ]

    @classmethod
    def of(
        cls, packs: Sequence[Pack], sizes: Sequence[int], start: np.ndarray, exponent: int, split: bool
    ) -> Self | None:
        """Return the tables side by side, or None if they would be too large."""
        if not packs:
            return None
        columns = {column for pack in packs for column, _ in pack.tables}
        entry = 8 * packs[0].tables[0][1].shape[1] * len(packs)
        if entry * sum(sizes[column] for column in columns) > _LARGEST:
            return None
        return cls(packs, sizes, start, exponent, split)

    @staticmethod
    def _table(packs: Sequence[Pack], column: int, size: int) -> np.ndarray:
        """Return the entries of a column in all packs, shape (cells, words of 64 bits); nothing is excluded where it has none."""
        width = packs[0].tables[0][1].shape[1]
        table = np.full((size, len(packs), width), _FULL)
        for place, pack in enumerate(packs):
            for used, entries in pack.tables:
                if used == column:
                    table[:, place] = entries
        return table.reshape(size, -1)

    def add(self, places: np.ndarray, sums: np.ndarray) -> None:
        """Write the sums of the rows whose cells are ``places``, shape (columns, rows), each in the trees' order."""
        (first, table), *others = self._tables
        masks = table.take(places[first], axis=0, mode="clip")
        for column, entries in others:
            np.bitwise_and(masks, entries.take(places[column], axis=0, mode="clip"), out=masks)
        leaves = masks.view(np.uint32).astype(np.float64).view(np.int64) >> 52
        if self._split:
            np.maximum(leaves, self._exponent, out=leaves)
        leaves += self._offsets
        values = self._values.take(leaves, mode="clip")
        for output, words in enumerate(self._words):
            each = np.empty((len(sums), len(words) + 1))
            each[:, 0], each[:, 1:] = self._start[output], values[:, words]
            sums[:, output] = np.add.accumulate(each, axis=1)[:, -1]  # one after the other, as the trees' own sum
