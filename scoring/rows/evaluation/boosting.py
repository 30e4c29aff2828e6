"""Histogram gradient boosting of scikit-learn as sets of leaves: the same splits, and sums in the same order."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from scoring.rows.evaluation.bitsets import Bitsets
from scoring.rows.evaluation.cells import Cells, Levels
from scoring.rows.evaluation.columns import Column
from scoring.rows.evaluation.trees import Tree
from scoring.rows.evaluation.unsupported import Unsupported

TABLE_BYTES = 64 * 2**20
"""Largest size of a model's tables: several threads have them at once."""


class Boosted:
    """A fitted ``HistGradientBoostingClassifier`` or ``…Regressor`` on the columns that its preprocessor makes."""

    def __init__(self, model: Any, ending: Any) -> None:
        """Build the tables. ``ending`` makes probabilities or numbers of sums: it is ``adopting(model)``, or around that.

        Raises ``Unsupported`` when they would be too large."""
        known, place_of = model._bin_mapper.make_known_categories_bitsets()
        iterations = [
            [tree_of(predictor, known, place_of) for predictor in predictors] for predictors in model._predictors
        ]
        trees: list[list[Tree]] = [list(some) for some in zip(*iterations, strict=True)]
        every = [tree for some in trees for tree in some]
        self._model, self._ending = model, ending
        self.cells = _cells(every, len(model._bin_mapper.is_categorical_), model._bin_mapper.is_categorical_)
        size = 4 * sum(tree.words for tree in every) * sum(cells.size for cells in self.cells)
        if size > TABLE_BYTES:
            raise Unsupported(f"tables of {size >> 20} MiB for {sum(len(tree.values) for tree in every):,} leaves")
        self._bitsets = Bitsets(trees, self.cells, 0.0 + np.asarray(model._baseline_prediction, np.float64).ravel())

    def output(self, columns: Sequence[Column], rows: int) -> np.ndarray:
        """Return what ``predict_proba``, or a regressor's ``predict``, gives: (rows, classes) or (rows,)."""
        return self._ended(self._bitsets.sums(list(columns), rows))

    def by_estimator(self, values: np.ndarray) -> np.ndarray:
        """Return what scikit-learn gives for a matrix as the preprocessor makes it: the proof of ``output``."""
        model = self._model
        sums = np.zeros((len(values), model.n_trees_per_iteration_), order="F") + model._baseline_prediction
        sums = np.asfortranarray(sums)
        model._predict_iterations(values, model._predictors, sums, False, 1)
        return self._ended(sums)

    def _ended(self, sums: np.ndarray) -> np.ndarray:
        """Return probabilities or numbers, made of the trees' sums by scikit-learn's own code."""
        classifies = hasattr(self._model, "classes_")
        return np.asarray(self._ending.predict_proba(sums) if classifies else self._ending.predict(sums))


def adopting(model: Any) -> Any:
    """Return a copy of a boosted model that takes the sums of its trees in place of rows."""
    copied = copy.copy(model)
    copied._raw_predict = _as_given
    return copied


def _as_given(sums: np.ndarray, n_threads: int | None = None) -> np.ndarray:
    return sums


def tree_of(predictor: Any, known: np.ndarray, place_of: np.ndarray) -> Tree:
    """Return a tree of boosting. ``known`` and ``place_of`` are its bin mapper's sets of known categories."""
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    splits = np.flatnonzero(~leaf)
    if not np.array_equal(nodes["left"][splits], splits + 1):
        raise Unsupported("a tree whose nodes are not in preorder")
    categorical = nodes["is_categorical"].astype(bool) & ~leaf
    some = nodes[categorical]
    goes_left = _sets(predictor.raw_left_cat_bitsets[some["bitset_idx"]])
    seen = _sets(known[place_of[some["feature_idx"]]]) | goes_left
    seen[:, -1] = False
    levels_left = np.where(seen, goes_left, some["missing_go_to_left"].astype(bool)[:, None])
    return Tree(
        leaf,
        nodes["right"].astype(np.intp),
        nodes["feature_idx"].astype(np.intp),
        nodes["num_threshold"].astype(np.float64),
        nodes["missing_go_to_left"].astype(bool),
        nodes["value"][leaf].astype(np.float64),
        categorical,
        levels_left,
    )


def _sets(words: np.ndarray) -> np.ndarray:
    """Return which codes are in each set of 256 bits, given as 8 words: (sets, 8) to (sets, 256)."""
    bytes_ = np.ascontiguousarray(words, dtype="<u4").view(np.uint8)
    return np.unpackbits(bytes_, axis=1, bitorder="little").astype(bool)


def _cells(trees: Sequence[Tree], columns: int, categorical: Sequence[int]) -> list[Cells | Levels]:
    """Return the cells of every column, from the thresholds of all trees."""
    features, thresholds = (
        np.concatenate([getattr(tree, name)[tree.splits] for tree in trees]) for name in ("feature", "threshold")
    )
    return [
        Levels() if categorical[column] else Cells(np.unique(thresholds[features == column]))
        for column in range(columns)
    ]
