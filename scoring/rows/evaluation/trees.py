"""Decision trees as arrays, whatever estimator of scikit-learn they come from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

LEAVES = 32
"""Leaves of a word: a bit for each."""


@dataclass(frozen=True)
class Tree:
    """A fitted tree whose nodes stand in preorder: a left child follows its parent."""

    leaf: np.ndarray
    """Whether a node is a leaf, (nodes,)."""
    right: np.ndarray
    """Place of the right child of a split, (nodes,)."""
    feature: np.ndarray
    threshold: np.ndarray
    """A value up to this goes left, (nodes,)."""
    missing_left: np.ndarray
    values: np.ndarray
    """Value of each leaf, from left to right."""
    categorical: np.ndarray
    """Whether a node is a split on categories, (nodes,)."""
    levels_left: np.ndarray
    """For each of these splits in turn: which cells of ``Levels`` go left, (splits on categories, 256)."""

    @property
    def words(self) -> int:
        """Return how many words hold a bit for each leaf."""
        return -(-len(self.values) // LEAVES)

    @cached_property
    def splits(self) -> np.ndarray:
        """Return the places of the nodes that are no leaves."""
        return np.flatnonzero(~self.leaf)

    def spans(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return for each split where the leaves of its left side begin, where those of its right side begin, and their end."""
        before = np.concatenate([[0], np.cumsum(self.leaf)])
        ends, leaf, right = list(range(1, len(self.leaf) + 1)), self.leaf.tolist(), self.right.tolist()
        for node in range(len(ends) - 1, -1, -1):
            if not leaf[node]:
                ends[node] = ends[right[node]]
        splits = self.splits
        return before[splits], before[self.right[splits]], before[np.array(ends)[splits]]
