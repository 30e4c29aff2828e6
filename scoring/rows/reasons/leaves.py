"""The leaves of trees, each with what a row must be to go its way, column by column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scoring.rows.evaluation import Cells, Levels
from scoring.rows.reasons.nodes import Nodes


@dataclass(frozen=True)
class Way:
    """What all splits on one column leave open on the way to a leaf."""

    low: int
    """First cell of numbers that goes the leaf's way."""
    high: int
    """First cell beyond."""
    missing: bool
    """Whether a missing number goes the leaf's way."""
    levels: np.ndarray | None
    """Of a column of categories: which of its cells go the leaf's way."""
    share: float = 1.0
    """Share of the training rows that do, at each of the splits, multiplied."""

    @classmethod
    def all_of(cls, cells: Cells | Levels) -> Way:
        """Return the way of every value."""
        return cls(0, cells.missing, True, np.ones(cells.size, bool) if isinstance(cells, Levels) else None)

    def cells(self, size: int) -> np.ndarray:
        """Return which of the column's cells go the leaf's way, (size,)."""
        if self.levels is not None:
            return self.levels
        goes = np.zeros(size, dtype=bool)
        goes[self.low : self.high] = True
        goes[-1] = self.missing
        return goes


@dataclass(frozen=True)
class Leaf:
    """A leaf: its value, and the ways by column of the model's matrix."""

    values: np.ndarray
    """What it adds to each output."""
    ways: dict[int, Way]


def cells_of(trees: Sequence[Nodes], columns: int) -> list[Cells | Levels]:
    """Return the cells of each column of the matrix, from the thresholds of all trees."""
    thresholds: list[list[np.ndarray]] = [[] for _ in range(columns)]
    categorical: set[int] = set()
    for tree in trees:
        splits = np.flatnonzero(tree.left >= 0)
        categorical |= {int(tree.feature[node]) for node in tree.levels_left}
        for column in np.unique(tree.feature[splits]).tolist():
            thresholds[column].append(tree.threshold[splits[tree.feature[splits] == column]])
    return [
        Levels() if column in categorical else Cells(np.unique(np.concatenate(some)) if some else np.zeros(0))
        for column, some in enumerate(thresholds)
    ]


def leaves_of(tree: Nodes, cells: Sequence[Cells | Levels]) -> Iterator[Leaf]:
    """Yield the leaves of a tree."""
    open_nodes: list[tuple[int, dict[int, Way]]] = [(0, {})]
    while open_nodes:
        node, ways = open_nodes.pop()
        if tree.left[node] < 0:
            yield Leaf(tree.values[node], ways)
            continue
        column = int(tree.feature[node])
        way = ways.get(column) or Way.all_of(cells[column])
        for child, left in ((int(tree.right[node]), False), (int(tree.left[node]), True)):
            share = tree.cover[child] / tree.cover[node] if tree.cover[node] > 0 else 0.0
            narrower = replace(_narrowed(way, tree, node, cells[column], left), share=way.share * share)
            open_nodes.append((child, {**ways, column: narrower}))


def _narrowed(way: Way, tree: Nodes, node: int, cells: Cells | Levels, left: bool) -> Way:
    """Return what a way leaves open on one side of a split."""
    if isinstance(cells, Levels):
        levels, goes = way.levels, tree.levels_left[node]
        return replace(way, levels=levels & (goes if left else ~goes))
    beyond = int(cells.thresholds.searchsorted(tree.threshold[node])) + 1
    missing = way.missing and bool(tree.missing_left[node]) == left
    if left:
        return replace(way, high=min(way.high, beyond), missing=missing)
    return replace(way, low=max(way.low, beyond), missing=missing)
