"""Sums of many trees by sets of leaves, after QuickScorer (Lucchese et al., SIGIR 2015), with tables in place of comparisons.

For every tree and column a table says, for each cell, which leaves the splits on that column leave possible. The tables'
entries of a row, ANDed, leave one bit: the row's leaf. Eight trees lie side by side in an entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scoring.rows.evaluation.cells import Cells, Levels
from scoring.rows.evaluation.columns import Coded, Column
from scoring.rows.evaluation.few_rows import ROWS, FewRows
from scoring.rows.evaluation.trees import LEAVES, Tree

PACK = 8
"""Words in an entry, 32 bytes: NumPy copies these as fast as 8."""
BLOCK_ROWS = 4_096
"""Rows whose cells, masks and values stay in the processor's cache."""
_EXPONENT = 1_022
"""Exponent field of a float64 of 1 in IEEE 754, less 1: bit b of a word gives place b + 1, and no bit place 0."""
_FULL = 2**LEAVES - 1


@dataclass(frozen=True)
class _Pack:
    """Eight words, or fewer at the end: tables by column, values by word and leaf."""

    output: int
    words: int
    tables: list[tuple[int, np.ndarray]]
    """Column, and its entries by cell: (cells, 4) of uint64."""
    values: np.ndarray
    """(words, 33): 0 for a word without the row's leaf, then the leaves' values."""


class Bitsets:
    """The trees of a model, ready to be summed up for many rows. Several threads may use it at once."""

    def __init__(self, trees: Sequence[Sequence[Tree]], cells: list[Cells | Levels], start: np.ndarray) -> None:
        """Build the tables. ``trees`` are those of each output, and ``start`` is what their sums begin with."""
        self.cells, self._start = cells, start
        self._packs = [pack for output, some in enumerate(trees) for pack in _packs(output, some, cells)]
        self._split = any(tree.words > 1 for some in trees for tree in some)
        self._few = FewRows.of(self._packs, [some.size for some in cells], start, _EXPONENT, self._split)

    def sums(self, columns: list[Column], rows: int) -> np.ndarray:
        """Return start plus the trees' values, added in the trees' order, shape (rows, outputs) in columns."""
        sums = np.empty((rows, len(self._start)), order="F")
        tables = [_cells_of_levels(cells, column) for cells, column in zip(self.cells, columns, strict=True)]
        if rows <= ROWS and self._few is not None:
            self._few.add(self._places(columns, tables, slice(0, rows)), sums)
            return sums
        for first in range(0, rows, BLOCK_ROWS):
            part = slice(first, min(first + BLOCK_ROWS, rows))
            self._add(self._places(columns, tables, part), sums[part])
        return sums

    def _places(self, columns: list[Column], tables: list[np.ndarray | None], part: slice) -> np.ndarray:
        """Return the cell of every value of a block, shape (columns, rows)."""
        places = np.empty((len(columns), part.stop - part.start), dtype=np.intp)
        for cells, column, table, out in zip(self.cells, columns, tables, places, strict=True):
            if isinstance(column, Coded):
                assert table is not None
                table.take(column.places[part], out=out, mode="clip")
            elif len(cells.thresholds) or isinstance(cells, Levels):
                cells.of(column[part], out)
        return places

    def _add(self, places: np.ndarray, sums: np.ndarray) -> None:
        """Write the sums of a block's rows."""
        rows = places.shape[1]
        masks, entries = np.empty((rows, PACK // 2), np.uint64), np.empty((rows, PACK // 2), np.uint64)
        numbers, values = np.empty((PACK, rows)), np.empty((PACK, rows))
        words, leaves = masks.view(np.uint32).T, numbers.view(np.int64)
        offsets = (np.arange(PACK) * (LEAVES + 1) - _EXPONENT)[:, None]
        sums[:] = self._start
        for pack in self._packs:
            first, others = pack.tables[0], pack.tables[1:]
            first[1].take(places[first[0]], axis=0, out=masks, mode="clip")
            for column, table in others:
                table.take(places[column], axis=0, out=entries, mode="clip")
                np.bitwise_and(masks, entries, out=masks)
            np.copyto(numbers, words)  # a power of two, or 0: its exponent is the leaf
            np.right_shift(leaves, 52, out=leaves)
            if self._split:
                np.maximum(leaves, _EXPONENT, out=leaves)
            np.add(leaves, offsets, out=leaves)
            pack.values.take(leaves, out=values, mode="clip")
            total = sums[:, pack.output]
            for number in range(pack.words):  # one after the other: a reduction may choose another order
                np.add(total, values[number], out=total)


def _cells_of_levels(cells: Cells | Levels, column: Column) -> np.ndarray | None:
    """Return the cell of each of a coded column's levels."""
    if not isinstance(column, Coded):
        return None
    table = np.empty(len(column.levels), dtype=np.intp)
    cells.of(np.asarray(column.levels, dtype=np.float64), table)
    return table


def _packs(output: int, trees: Sequence[Tree], cells: list[Cells | Levels]) -> list[_Pack]:
    """Return the packs of one output's trees."""
    words = sum(tree.words for tree in trees)
    full, values = np.ones(-(-words // PACK) * PACK, dtype=np.uint32), np.zeros((-(-words // PACK) * PACK, LEAVES + 1))
    first = 0
    for tree in trees:
        for word in range(tree.words):
            some = tree.values[word * LEAVES : (word + 1) * LEAVES]
            full[first + word] = 2 ** len(some) - 1
            values[first + word, 1 : len(some) + 1] = some
        first += tree.words
    tables = _tables(trees, cells, full)
    starts = full.view(np.uint64).reshape(-1, PACK // 2)
    packs = []
    for number, start in enumerate(starts):
        part = slice(number * PACK, (number + 1) * PACK)
        entries = {column: _entries(table[part]) for column, table in tables.items()}
        used = [(column, some) for column, some in entries.items() if (some != start).any()]
        used = used or [(0, np.repeat(start[None], cells[0].size, axis=0))]  # trees without a split
        packs.append(_Pack(output, min(PACK, words - part.start), used, values[part]))
    return packs


def _entries(table: np.ndarray) -> np.ndarray:
    """Return the entries of a column's table of eight words: from (words, cells) to (cells, 4) of uint64."""
    return np.ascontiguousarray(table.T).view(np.uint64)


@dataclass(frozen=True)
class _Splits:
    """The splits of all trees on numbers: the word, column, and which leaves either side clears."""

    word: np.ndarray
    column: np.ndarray
    threshold: np.ndarray
    missing_left: np.ndarray
    without_left: np.ndarray
    """Masks of the leaves that stay when the row goes right."""
    without_right: np.ndarray


def _tables(trees: Sequence[Tree], cells: list[Cells | Levels], full: np.ndarray) -> dict[int, np.ndarray]:
    """Return for each column the leaves of each word that are possible in each cell, shape (words, cells)."""
    columns = np.unique(np.concatenate([tree.feature[tree.splits] for tree in trees])).tolist()
    tables = {column: np.repeat(full[:, None], cells[column].size, axis=1) for column in columns}
    parts, first = [], 0
    for tree in trees:
        parts += _splits_of(tree, first, tables)
        first += tree.words
    if not parts:
        return tables
    names = _Splits.__dataclass_fields__
    splits = _Splits(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
    for column in columns:
        some = cells[column]
        if isinstance(some, Cells):
            _fill(tables[column], splits, splits.column == column, some)
    return tables


def _splits_of(tree: Tree, first: int, tables: dict[int, np.ndarray]) -> list[_Splits]:
    """Return a tree's splits on numbers, by word from ``first`` on. Splits on categories go into the tables at once."""
    left, middle, right = tree.spans()
    splits = tree.splits
    categorical = tree.categorical[splits]
    plain, features = ~categorical, tree.feature[splits[categorical]].tolist()
    parts = []
    for word in range(tree.words):
        without_left, without_right = _outside(left, middle, word), _outside(middle, right, word)
        possible = np.where(tree.levels_left, without_right[categorical, None], without_left[categorical, None])
        for feature, leaves in zip(features, possible, strict=True):
            tables[feature][first + word] &= leaves
        nodes = splits[plain]
        parts.append(
            _Splits(
                np.full(len(nodes), first + word),
                tree.feature[nodes],
                tree.threshold[nodes],
                tree.missing_left[nodes],
                without_left[plain],
                without_right[plain],
            )
        )
    return parts


def _outside(begin: np.ndarray, end: np.ndarray, word: int) -> np.ndarray:
    """Return masks of a word's leaves that lie outside of [begin, end)."""
    low, high = (np.clip(bound - word * LEAVES, 0, LEAVES).astype(np.uint64) for bound in (begin, end))
    one = np.uint64(1)
    return np.asarray(_FULL ^ ((one << high) - (one << low))).astype(np.uint32)


def _fill(table: np.ndarray, splits: _Splits, of_column: np.ndarray, cells: Cells) -> None:
    """Take from a column's table the leaves that its splits on numbers exclude."""
    word, missing_left = splits.word[of_column], splits.missing_left[of_column]
    without_left, without_right = splits.without_left[of_column], splits.without_right[of_column]
    place = cells.thresholds.searchsorted(splits.threshold[of_column])
    up_to, beyond = np.full_like(table, _FULL), np.full_like(table, _FULL)
    np.bitwise_and.at(up_to, (word, place), without_right)
    np.bitwise_and.at(beyond, (word, place + 1), without_left)
    last = cells.missing
    table[:, :last] &= np.bitwise_and.accumulate(up_to[:, :last][:, ::-1], axis=1)[:, ::-1]
    table[:, :last] &= np.bitwise_and.accumulate(beyond[:, :last], axis=1)
    np.bitwise_and.at(table[:, last], word, np.where(missing_left, without_right, without_left))
