"""Contributions of columns to the sum of many trees, row by row: path-dependent TreeSHAP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from threading import Lock

import numpy as np

from scoring.rows.evaluation import Cells, Levels
from scoring.rows.reasons.leaves import Leaf, cells_of, leaves_of
from scoring.rows.reasons.nodes import Nodes
from scoring.rows.reasons.shapley import shares
from scoring.rows.reasons.tables import Group, Tables, grouped

TABLE_BYTES = 192 * 2**20
"""Largest size of a model's tables. A forest that needs more is computed row by row."""
MOST_COLUMNS = 12
"""Columns of a leaf up to which it has a table, of at most 4,096 entries."""
MANY_ROWS = 5_000
"""Rows of a call from which on tables are worth their making, which takes as long as some thousand rows without."""
_SIZES = (2_048, 256)
"""Entries of a group of leaves, at most: larger tables are fewer look-ups for a row, and more memory."""
_MOST_CELLS = 20_000
"""Cells of a column, and leaves of a forest, up to which tables are tried."""
BLOCK_ROWS = 1_024
"""Rows whose entries stay in the processor's cache."""
_FIELDS = ("low", "high", "missing", "share")
_BLOCK_NUMBERS = 2**21
"""Numbers that are computed at once for leaves without a table, 16 MiB."""


class Forest:
    """The trees behind one output of a model. Several threads may use it at once."""

    def __init__(self, trees: Sequence[Nodes], output: int, origins: np.ndarray, width: int) -> None:
        """Read the trees. ``origins`` gives the feature behind each column of the matrix, of ``width`` features."""
        self.cells = cells_of(trees, len(origins))
        leaves = [leaf for tree in trees for leaf in leaves_of(tree, self.cells)]
        self.base = float(sum(leaf.values[output] * _share(leaf) for leaf in leaves))
        self._leaves = [leaf for leaf in leaves if leaf.ways and leaf.values[output] != 0]
        self._all = _Rest.by_columns(self._leaves, output, self.cells)
        self._output, self._origins, self._width = output, origins, width
        self._lock = Lock()

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """Return what each feature adds to the sum of the trees, (rows, features).

        How a call computes depends on its rows alone, so that the same call always gives the same bits.
        """
        values = np.zeros((len(matrix), self._width))
        tables, rest = self._tabled if len(matrix) >= MANY_ROWS else (None, self._all)
        for first in range(0, len(matrix), BLOCK_ROWS):
            part = slice(first, first + BLOCK_ROWS)
            places = self._places(matrix[part])
            if tables is not None:
                values[part] = tables.contributions(places)
            for some in rest:
                some.add(places, values[part], self._origins)
        return values

    @property
    def _tabled(self) -> tuple[Tables | None, list[_Rest]]:
        """Return the tables, made at the first call, and the leaves without one."""
        with self._lock:
            return self._made

    @cached_property
    def _made(self) -> tuple[Tables | None, list[_Rest]]:
        groups = _groups(self._leaves, self.cells, self._width)
        if not groups:
            return None, self._all
        many = [leaf for leaf in self._leaves if len(leaf.ways) > MOST_COLUMNS]
        tables = Tables(groups, self._output, self._origins, self._width)
        return tables, _Rest.by_columns(many, self._output, self.cells)

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


def _groups(leaves: Sequence[Leaf], cells: Sequence[Cells | Levels], width: int) -> list[Group]:
    """Return the leaves of few columns in groups whose tables are small enough, or none."""
    if len(leaves) > _MOST_CELLS or max((some.size for some in cells), default=0) > _MOST_CELLS:
        return []
    few = [leaf for leaf in leaves if len(leaf.ways) <= MOST_COLUMNS]
    for most in _SIZES:
        groups = list(grouped(few, cells, most))
        steps = 4 * len(groups) * sum(some.size for some in cells)
        if 8 * width * sum(group.entries for group in groups) + steps <= TABLE_BYTES:
            return groups
    return []


@dataclass(frozen=True)
class _Rest:
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
    levels: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]
    """For each column of categories: leaves, places in these, and which cells go the leaf's way."""
    last: np.ndarray
    """The cell of missing values of each column of the matrix, -1 for categories."""

    @classmethod
    def by_columns(cls, leaves: Sequence[Leaf], output: int, cells: Sequence[Cells | Levels]) -> list[_Rest]:
        """Return the leaves as arrays, those with equally many columns together."""
        alike = groupby(sorted(leaves, key=lambda leaf: len(leaf.ways)), key=lambda leaf: len(leaf.ways))
        return [cls.of(list(some), output, cells) for _, some in alike]

    @classmethod
    def of(cls, leaves: Sequence[Leaf], output: int, cells: Sequence[Cells | Levels]) -> _Rest:
        """Return the leaves as arrays."""
        columns = np.array([list(leaf.ways) for leaf in leaves], dtype=np.intp)
        ways = [list(leaf.ways.values()) for leaf in leaves]
        low, high, missing, weights = (
            np.array([[getattr(way, name) for way in some] for some in ways]) for name in _FIELDS
        )
        last = np.array([-1 if isinstance(some, Levels) else some.missing for some in cells])
        levels = {}
        for column in np.flatnonzero(last < 0).tolist():
            rows, at = np.nonzero(columns == column)
            if len(rows):
                goes = [ways[row][place].levels for row, place in zip(rows, at, strict=True)]
                levels[column] = (rows, at, np.array(goes))
        values = np.array([leaf.values[output] for leaf in leaves])
        return cls(columns, weights, values, low, high, missing, levels, last)

    def add(self, places: np.ndarray, sums: np.ndarray, origins: np.ndarray) -> None:
        """Add the contributions of the leaves to the sums of some rows, (rows, features)."""
        from scipy import sparse

        size = max(1, _BLOCK_NUMBERS // self.columns.size)
        features = origins[self.columns].ravel()
        shape = (len(features), sums.shape[1])
        to_features = sparse.csr_matrix((np.ones(len(features)), (np.arange(len(features)), features)), shape=shape)
        for first in range(0, places.shape[1], size):
            part = slice(first, first + size)
            values = shares(self._follows(places[:, part]).astype(np.float64), self.shares) * self.values[:, None]
            sums[part] += values.reshape(len(values), -1) @ to_features

    def _follows(self, places: np.ndarray) -> np.ndarray:
        """Return whether each row goes each leaf's way at each of its columns, (rows, leaves, columns)."""
        cells = places.T[:, self.columns]
        follows = (cells >= self.low) & (cells < self.high) | (cells == self.last[self.columns]) & self.missing
        for column, (rows, at, goes) in self.levels.items():
            follows[:, rows, at] = goes[:, places[column]].T
        return np.asarray(follows)
