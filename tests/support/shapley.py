"""Shapley values by their definition: every set of columns, every tree walked anew. For small trees only."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

Value = Callable[[np.ndarray, set[int]], float]
"""What trees say of a row of which only some columns are known."""


def by_definition(value: Value, row: np.ndarray) -> np.ndarray:
    """Return the Shapley value of each column of a row."""
    columns = len(row)
    values = np.zeros(columns)
    sets = {
        some: value(row, set(some))
        for size in range(columns + 1)
        for some in itertools.combinations(range(columns), size)
    }
    for column in range(columns):
        for some, without in sets.items():
            if column not in some:
                weight = math.factorial(len(some)) * math.factorial(columns - 1 - len(some)) / math.factorial(columns)
                values[column] += weight * (sets[tuple(sorted({*some, column}))] - without)
    return values


def value_of_trees(trees: list[Any], output: int, scale: float) -> Value:
    """Return the game of trees of ``sklearn.tree``."""
    return lambda row, known: scale * sum(_walk(tree.tree_, row.astype(np.float32), known, output) for tree in trees)


def _walk(tree: Any, row: np.ndarray, known: set[int], output: int, node: int = 0) -> float:
    left, right, column = tree.children_left[node], tree.children_right[node], tree.feature[node]
    if left < 0:
        return float(tree.value[node, 0, output])
    if column in known:
        value = row[column]
        goes_left = tree.missing_go_to_left[node] if np.isnan(value) else value <= tree.threshold[node]
        return _walk(tree, row, known, output, left if goes_left else right)
    weights = tree.weighted_n_node_samples
    sides = [weights[side] * _walk(tree, row, known, output, side) for side in (left, right)]
    return float(sum(sides) / (weights[left] + weights[right]))


def value_of_boosting(model: Any, output: int) -> Value:
    """Return the game of the trees of histogram gradient boosting, on the columns that its preprocessor makes."""
    known_sets, place_of = model._bin_mapper.make_known_categories_bitsets()
    predictors = [iteration[output] for iteration in model._predictors]

    def walk(predictor: Any, row: np.ndarray, known: set[int], node: int = 0) -> float:
        this = predictor.nodes[node]
        if this["is_leaf"]:
            return float(this["value"])
        left, right, column = int(this["left"]), int(this["right"]), int(this["feature_idx"])
        if column in known:
            levels = known_sets[place_of[column]] if this["is_categorical"] else known_sets
            goes_left = _goes_left(predictor, this, row[column], levels)
            return walk(predictor, row, known, left if goes_left else right)
        counts = [float(predictor.nodes[side]["count"]) for side in (left, right)]
        sides = [count * walk(predictor, row, known, side) for count, side in zip(counts, (left, right), strict=True)]
        return sum(sides) / sum(counts)

    return lambda row, known: sum(walk(predictor, row, known) for predictor in predictors)


def _goes_left(predictor: Any, node: Any, value: float, known_levels: np.ndarray) -> bool:
    if not node["is_categorical"]:
        return bool(node["missing_go_to_left"] if np.isnan(value) else value <= node["num_threshold"])
    if np.isnan(value) or not 0 <= value < 256:
        return bool(node["missing_go_to_left"])
    word, bit = divmod(int(value), 32)
    if predictor.raw_left_cat_bitsets[node["bitset_idx"]][word] >> bit & 1:
        return True
    return not known_levels[word] >> bit & 1 and bool(node["missing_go_to_left"])
