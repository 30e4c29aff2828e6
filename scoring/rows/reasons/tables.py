"""Tables of contributions: an entry for each state of some leaves, so that a row's are a sum of few entries.

What a leaf contributes depends on nothing but which of its columns go its way. Neighbouring leaves depend on the same columns,
so they share a table: a column has as many states as there are sets of leaves whose way it goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from scoring.rows.evaluation import Cells, Levels
from scoring.rows.reasons.leaves import Leaf
from scoring.rows.reasons.shapley import shares

_MOST_LEAVES = 63
"""Leaves that share a table: a bit for each."""


@dataclass
class Group:
    """Leaves that share a table."""

    leaves: list[Leaf] = field(default_factory=list)
    codes: dict[int, np.ndarray] = field(default_factory=dict)
    """For each cell of a column, a bit for each leaf whose way it goes."""
    states: dict[int, int] = field(default_factory=dict)

    @property
    def entries(self) -> int:
        """Return how many entries the table has."""
        return prod(self.states.values())

    def with_leaf(self, leaf: Leaf, cells: Sequence[Cells | Levels]) -> Group:
        """Return the group with one more leaf."""
        codes = dict(self.codes)
        for column, way in leaf.ways.items():
            size = cells[column].size
            goes = way.cells(size).astype(np.uint64) << np.uint64(len(self.leaves))
            codes[column] = goes | codes.get(column, np.uint64(0))
        states = self.states | {column: len(np.unique(codes[column])) for column in leaf.ways}
        return Group([*self.leaves, leaf], codes, states)

    def table(self, output: int, origins: np.ndarray, width: int) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        """Return the entries, (entries, features), and for each column what a cell adds to an entry's place."""
        columns, shape = list(self.states), tuple(self.states.values())
        found = {column: np.unique(self.codes[column], return_inverse=True) for column in columns}
        strides = dict(zip(columns, np.cumprod([1, *shape[::-1]])[-2::-1].tolist(), strict=True))
        entries = np.zeros((*shape, width))
        for place, leaf in enumerate(self.leaves):
            pattern = np.zeros(shape, dtype=np.intp)
            for bit, column in enumerate(leaf.ways):
                goes = (found[column][0] >> np.uint64(place) & np.uint64(1)).astype(np.intp) << bit
                pattern += goes.reshape([-1 if other == column else 1 for other in columns])
            values = _of_patterns(leaf, output)
            for bit, column in enumerate(leaf.ways):
                entries[..., origins[column]] += values[:, bit][pattern]
        steps = {column: inverse * strides[column] for column, (_, inverse) in found.items()}
        return entries.reshape(-1, width), steps


def _of_patterns(leaf: Leaf, output: int) -> np.ndarray:
    """Return what a leaf contributes in each pattern of columns that go its way, (patterns, columns)."""
    bits = np.arange(len(leaf.ways))
    follows = (np.arange(2 ** len(bits))[:, None] >> bits & 1).astype(np.float64)
    return float(leaf.values[output]) * shares(follows, np.array([way.share for way in leaf.ways.values()]))


def grouped(leaves: Iterable[Leaf], cells: Sequence[Cells | Levels], most: int) -> Iterator[Group]:
    """Yield the leaves, in their order, in groups with tables of at most ``most`` entries, or of one leaf."""
    group = Group()
    for leaf in leaves:
        larger = group.with_leaf(leaf, cells)
        if group.leaves and (larger.entries > most or len(larger.leaves) > _MOST_LEAVES):
            yield group
            larger = Group().with_leaf(leaf, cells)
        group = larger
    if group.leaves:
        yield group


class Tables:
    """The tables of groups of leaves, one after the other."""

    def __init__(self, groups: Sequence[Group], output: int, origins: np.ndarray, width: int) -> None:
        """Compute the tables."""
        self._groups, self._entries = len(groups), np.zeros((sum(group.entries for group in groups), width))
        self._steps: dict[int, np.ndarray] = {}
        start = 0
        for number, group in enumerate(groups):
            entries, steps = group.table(output, origins, width)
            self._entries[start : start + len(entries)] = entries
            for column, step in steps.items():
                table = self._steps.setdefault(column, np.zeros((len(step), len(groups)), dtype=np.int32))
                table[:, number] = step
            start += len(entries)
        self._starts = np.cumsum([0, *(group.entries for group in groups)])[:-1].astype(np.int32)

    def contributions(self, places: np.ndarray) -> np.ndarray:
        """Return the sum of the entries of each row, (rows, features). ``places`` are its cells, (columns, rows)."""
        from scipy import sparse

        rows, width = places.shape[1], self._entries.shape[1]
        if not self._groups:
            return np.zeros((rows, width))
        entries = np.repeat(self._starts[None], rows, axis=0)
        steps = np.empty_like(entries)
        for column, table in self._steps.items():
            table.take(places[column], axis=0, out=steps, mode="clip")
            entries += steps
        ends = np.arange(rows + 1, dtype=np.int32) * self._groups
        chosen = (np.ones(entries.size), entries.ravel(), ends)
        return np.asarray(sparse.csr_matrix(chosen, shape=(rows, len(self._entries))) @ self._entries)
