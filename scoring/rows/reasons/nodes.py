"""Decision trees with the rows that passed each node, whatever estimator of scikit-learn they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scoring.rows.evaluation import tree_of


@dataclass(frozen=True)
class Nodes:
    """A fitted tree: the root is node 0."""

    left: np.ndarray
    """Place of the left child of a split, -1 for a leaf."""
    right: np.ndarray
    feature: np.ndarray
    """Column of the model's matrix that a split is on."""
    threshold: np.ndarray
    """A value up to this goes left."""
    missing_left: np.ndarray
    cover: np.ndarray
    """Weight of the training rows that reached the node."""
    values: np.ndarray
    """What a leaf adds to each output, (nodes, outputs)."""
    levels_left: dict[int, np.ndarray]
    """For a split on categories: which of 256 cells of ``Levels`` go left."""


def boosted_nodes(model: Any) -> list[list[Nodes]]:
    """Return the trees of a histogram gradient boosting model, by output."""
    known, place_of = model._bin_mapper.make_known_categories_bitsets()
    outputs: list[list[Nodes]] = [[] for _ in model._predictors[0]]
    for iteration in model._predictors:
        for trees, predictor in zip(outputs, iteration, strict=True):
            trees.append(_boosted(predictor, known, place_of))
    return outputs


def _boosted(predictor: Any, known: np.ndarray, place_of: np.ndarray) -> Nodes:
    tree, nodes = tree_of(predictor, known, place_of), predictor.nodes
    return Nodes(
        np.where(tree.leaf, -1, nodes["left"].astype(np.intp)),
        tree.right,
        tree.feature,
        tree.threshold,
        tree.missing_left,
        nodes["count"].astype(np.float64),
        nodes["value"].astype(np.float64)[:, None],
        dict(zip(np.flatnonzero(tree.categorical).tolist(), tree.levels_left, strict=True)),
    )


def plain_nodes(tree: Any, scale: float = 1.0) -> Nodes:
    """Return a tree of ``sklearn.tree``, its values times ``scale``: (nodes, classes) of a classifier, else (nodes, 1)."""
    missing = getattr(tree, "missing_go_to_left", None)
    return Nodes(
        np.asarray(tree.children_left, dtype=np.intp),
        np.asarray(tree.children_right, dtype=np.intp),
        np.asarray(tree.feature, dtype=np.intp),
        np.asarray(tree.threshold, dtype=np.float64),
        np.zeros(tree.node_count, bool) if missing is None else np.asarray(missing, dtype=bool),
        np.asarray(tree.weighted_n_node_samples, dtype=np.float64),
        np.asarray(tree.value[:, 0, :], dtype=np.float64) * scale,
        {},
    )
