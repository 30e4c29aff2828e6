"""Contributions of columns to the sum of many trees, row by row: path-dependent TreeSHAP from tables.

A leaf's contributions depend on nothing but which of its columns go its way: one of 2 ** columns patterns. They are computed
once for every pattern; a row's are then the sum of one entry for each leaf. Leaves with many columns are computed row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from scoring.rows.evaluation import Cells, Levels
from scoring.rows.reasons.leaves import Leaf, cells_of, leaves_of
from scoring.rows.reasons.nodes import Nodes
from scoring.rows.reasons.shapley import shares

MOST_COLUMNS = 10
"""Columns of a leaf up to which its contributions stand in a table, of at most 1,024 entries."""
TABLE_BYTES = 192 * 2**20
"""Largest size of a model's tables. A forest that needs more is computed row by row."""
BLOCK_ROWS = 256
"""Rows whose patterns stay in the processor's cache."""
_FIELDS = ("low", "high", "missing", "share")
_BLOCK_NUMBERS = 2**21
"""Numbers that are computed at once for leaves without a table, 16 MiB."""


class Forest:
    """The trees behind one output of a model. Several threads may use it at once."""

    def __init__(self, trees: Sequence[Nodes], output: int, origins: np.ndarray, width: int) -> None:
        """Build the tables. ``origins`` gives the feature behind each column of the matrix, of ``width`` features."""
        self.cells = cells_of(trees, len(origins))
        leaves = [leaf for tree in trees for leaf in leaves_of(tree, self.cells)]
        self.base = float(sum(leaf.values[output] * _share(leaf) for leaf in leaves))
        leaves = [leaf for leaf in leaves if leaf.ways and leaf.values[output] != 0]
        leaves.sort(key=lambda leaf: len(leaf.ways))
        few = [leaf for leaf in leaves if len(leaf.ways) <= MOST_COLUMNS]
        entries = sum(2 ** len(leaf.ways) for leaf in few)
        if 8 * entries * width + 2 * len(few) * sum(some.size for some in self.cells) > TABLE_BYTES:
            few = []
        self._tables = _Tables(few, output, self.cells, origins, width)
        many = leaves[len(few) :]
        groups = (list(some) for _, some in groupby(many, key=lambda leaf: len(leaf.ways)))
        self._rest = [_Group.of(some, output, self.cells) for some in groups]
        self._origins, self._width = origins, width

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """Return what each feature adds to the sum of the trees, (rows, features)."""
        values = np.zeros((len(matrix), self._width))
        for first in range(0, len(matrix), BLOCK_ROWS):
            part = slice(first, first + BLOCK_ROWS)
            places = self._places(matrix[part])
            values[part] = self._tables.contributions(places)
            for group in self._rest:
                group.add(places, values[part], self._origins)
        return values

    def _places(self, matrix: np.ndarray) -> np.ndarray:
        """Return the cell of every value, (columns, rows)."""
        places = np.zeros((len(self.cells), len(matrix)), dtype=np.intp)
        for column, cells in enumerate(self.cells):
            if len(cells.thresholds) or isinstance(cells, Levels):
                cells.of(matrix[:, column], places[column])
        return places


def _share(leaf: Leaf) -> float:
    """Return the share of the training rows that reach a leaf."""
    return float(np.prod([way.share for way in leaf.ways.values()]))


class _Tables:
    """The leaves with a table: for each pattern of a leaf an entry with the contributions of all features."""

    def __init__(
        self,
        leaves: Sequence[Leaf],
        output: int,
        cells: Sequence[Cells | Levels],
        origins: np.ndarray,
        width: int,
    ) -> None:
        sizes = [2 ** len(leaf.ways) for leaf in leaves]
        self._starts = np.concatenate([[0], np.cumsum(sizes)])[: len(leaves)].astype(np.int32)
        self._entries = np.zeros((sum(sizes), width))
        for leaf, start, size in zip(leaves, self._starts.tolist(), sizes, strict=True):
            self._fill(leaf, self._entries[start : start + size], output, origins)
        columns = sorted({column for leaf in leaves for column in leaf.ways})
        self._bits = {column: _bits(leaves, column, cells[column].size) for column in columns}

    @staticmethod
    def _fill(leaf: Leaf, entries: np.ndarray, output: int, origins: np.ndarray) -> None:
        """Write the contributions of each pattern of a leaf."""
        bits = np.arange(len(leaf.ways))
        follows = (np.arange(len(entries))[:, None] >> bits & 1).astype(np.float64)
        values = leaf.values[output] * shares(follows, np.array([way.share for way in leaf.ways.values()]))
        for bit, column in enumerate(leaf.ways):
            entries[:, origins[column]] += values[:, bit]

    def contributions(self, places: np.ndarray) -> np.ndarray:
        """Return the sum of the leaves' entries for each row, (rows, features)."""
        from scipy import sparse

        rows, leaves = places.shape[1], len(self._starts)
        if not leaves:
            return np.zeros((rows, self._entries.shape[1]))
        patterns = np.zeros((rows, leaves), dtype=np.int16)
        bits = np.empty_like(patterns)
        for column, table in self._bits.items():
            table.take(places[column], axis=0, out=bits, mode="clip")
            patterns += bits
        ends = np.arange(rows + 1, dtype=np.int32) * leaves
        chosen = (np.ones(rows * leaves), (self._starts + patterns).ravel(), ends)
        return np.asarray(sparse.csr_matrix(chosen, shape=(rows, len(self._entries))) @ self._entries)


def _bits(leaves: Sequence[Leaf], column: int, cells: int) -> np.ndarray:
    """Return the bit that a cell of a column sets in each leaf's pattern, (cells, leaves)."""
    table = np.zeros((cells, len(leaves)), dtype=np.int16)
    for place, leaf in enumerate(leaves):
        if column in leaf.ways:
            table[:, place] = leaf.ways[column].cells(cells) * (1 << list(leaf.ways).index(column))
    return table


@dataclass(frozen=True)
class _Group:
    """Leaves with the same number of columns, without tables."""

    columns: np.ndarray
    """Columns of each leaf, (leaves, columns)."""
    shares: np.ndarray
    values: np.ndarray
    low: np.ndarray
    """First cell of a column of numbers that goes the leaf's way, (leaves, columns)."""
    high: np.ndarray
    """First cell beyond, (leaves, columns)."""
    missing: np.ndarray
    """Whether a missing value goes the leaf's way, (leaves, columns)."""
    sets: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]
    """For each column of categories: leaves, places in these, and which cells go the leaf's way."""
    last: np.ndarray
    """The cell of missing values of each column of the matrix, -1 for categories."""

    @classmethod
    def of(cls, leaves: Sequence[Leaf], output: int, cells: Sequence[Cells | Levels]) -> _Group:
        """Return the leaves as arrays."""
        columns = np.array([list(leaf.ways) for leaf in leaves], dtype=np.intp)
        ways = [list(leaf.ways.values()) for leaf in leaves]
        low, high, missing, weights = (
            np.array([[getattr(way, name) for way in some] for some in ways]) for name in _FIELDS
        )
        last = np.array([-1 if isinstance(some, Levels) else some.missing for some in cells])
        sets = {}
        for column in np.flatnonzero(last < 0).tolist():
            rows, at = np.nonzero(columns == column)
            if len(rows):
                sets[column] = (rows, at, np.array([ways[row][place].levels for row, place in zip(rows, at, strict=True)]))
        values = np.array([leaf.values[output] for leaf in leaves])
        return cls(columns, weights, values, low, high, missing, sets, last)

    def add(self, places: np.ndarray, sums: np.ndarray, origins: np.ndarray) -> None:
        """Add the contributions of the leaves to the sums of some rows, (rows, features)."""
        size = max(1, _BLOCK_NUMBERS // self.columns.size)
        for first in range(0, places.shape[1], size):
            part = slice(first, first + size)
            values = shares(self._follows(places[:, part]).astype(np.float64), self.shares) * self.values[:, None]
            flat, features = values.reshape(len(values), -1), origins[self.columns].ravel()
            for feature in np.unique(features).tolist():
                sums[part, feature] += flat[:, features == feature].sum(axis=1)

    def _follows(self, places: np.ndarray) -> np.ndarray:
        """Return whether each row goes each leaf's way at each of its columns, (rows, leaves, columns)."""
        cells = places.T[:, self.columns]
        follows = (cells >= self.low) & (cells < self.high) | (cells == self.last[self.columns]) & self.missing
        for column, (rows, at, sets) in self.sets.items():
            follows[:, rows, at] = sets[:, places[column]].T
        return np.asarray(follows)

