"""Which of the job's columns each column of a model's matrix was made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from scoring.rows.decision import sklearn_name
from scoring.rows.reasons.unexplained import Unexplained

_ALONE = frozenset(
    {
        "Binarizer",
        "MaxAbsScaler",
        "MinMaxScaler",
        "OrdinalEncoder",
        "PowerTransformer",
        "QuantileTransformer",
        "RobustScaler",
        "StandardScaler",
    }
)
"""Transformers of scikit-learn that make one column of each."""
_SELECTS = ("VarianceThreshold", "SelectKBest", "SelectPercentile", "SelectFromModel", "SelectFpr", "SelectFdr", "RFE")


def origins_of(transformer: Any, incoming: Sequence[int]) -> list[int]:
    """Return the origin of each outgoing column of a fitted transformer, from those of the incoming ones.

    Raises ``Unexplained`` for one that mixes columns, or is not known to treat each by itself.
    """
    if transformer is None or isinstance(transformer, str):
        return [] if transformer == "drop" else list(incoming)
    name = sklearn_name(transformer)
    if name in _ALONE or (name == "FunctionTransformer" and transformer.func is None):
        return list(incoming)
    rule = _RULES.get(name) or (_selected if name in _SELECTS else None)
    if rule is not None:
        return rule(transformer, list(incoming))
    if len(set(incoming)) == 1:
        return _of_one(transformer, incoming)
    raise Unexplained(
        f"{type(transformer).__name__}, which is given {len(incoming)} columns and may mix them; give it each by itself"
    )


def _of_one(transformer: Any, incoming: Sequence[int]) -> list[int]:
    """Return the origins of whatever a transformer makes of a single column: how many they are, its neighbours show."""
    return [incoming[0], _ANY]


_ANY = -1
"""Stands behind an origin that all the columns of a part have, however many they are."""


def _pipeline(transformer: Any, incoming: list[int]) -> list[int]:
    for _, step in transformer.steps:
        if _ANY in incoming:
            return incoming  # what is made of one column stays made of it
        incoming = origins_of(step, incoming)
    return incoming


def _column_transformer(transformer: Any, incoming: list[int]) -> list[int]:
    names = list(getattr(transformer, "feature_names_in_", []))
    outgoing = np.full(max((at.stop for at in transformer.output_indices_.values()), default=0), _ANY)
    for name, part, spec in transformer.transformers_:
        at = transformer.output_indices_[name]
        if part == "drop" or at.stop == at.start:
            continue
        made = origins_of(part, [incoming[place] for place in _places(spec, names, len(incoming))])
        outgoing[at] = _filled(made, at.stop - at.start, part)
    return [int(origin) for origin in outgoing]


def _union(transformer: Any, incoming: list[int]) -> list[int]:
    made = [origins_of(part, incoming) for _, part in transformer.transformer_list if part != "drop"]
    if any(_ANY in some for some in made):
        raise Unexplained("FeatureUnion of a transformer that is not known; put it into a ColumnTransformer")
    return [origin for some in made for origin in some]


def _filled(made: list[int], width: int, part: Any) -> list[int]:
    """Return the origins of a part of known width."""
    if _ANY in made:
        return [made[0]] * width
    if len(made) != width:
        raise Unexplained(f"{type(part).__name__}, which gives {width} columns where {len(made)} were expected")
    return made


def _places(spec: Any, names: list[str], width: int) -> list[int]:
    """Return the places of the columns that a part of a column transformer selects."""
    if isinstance(spec, str | int | np.integer):
        spec = [spec]
    if isinstance(spec, slice):
        ends = [names.index(end) if isinstance(end, str) else end for end in (spec.start, spec.stop)]
        last = None if ends[1] is None else ends[1] + isinstance(spec.stop, str)
        return list(range(width))[slice(ends[0], last, spec.step)]
    chosen = list(spec)
    if chosen and all(isinstance(flag, bool | np.bool_) for flag in chosen):
        return [place for place, flag in enumerate(chosen) if flag]
    return [names.index(some) if isinstance(some, str) else int(some) % width for some in chosen]


def _one_hot(transformer: Any, incoming: list[int]) -> list[int]:
    return _repeated(incoming, transformer._n_features_outs)


def _binned(transformer: Any, incoming: list[int]) -> list[int]:
    return incoming if transformer.encode == "ordinal" else _repeated(incoming, transformer.n_bins_)


def _splines(transformer: Any, incoming: list[int]) -> list[int]:
    return _repeated(incoming, [transformer.n_features_out_ // len(incoming)] * len(incoming))


def _targets(transformer: Any, incoming: list[int]) -> list[int]:
    each = len(transformer.classes_) if transformer.target_type_ == "multiclass" else 1
    return _repeated(incoming, [each] * len(incoming))


def _imputed(transformer: Any, incoming: list[int]) -> list[int]:
    """Return the columns that stay, then those that say where values were missing."""
    empty = [value is None or str(value) == "nan" for value in transformer.statistics_.tolist()]  # a column of nulls
    stay = [origin for origin, gone in zip(incoming, empty, strict=True) if transformer.keep_empty_features or not gone]
    flagged = transformer.indicator_.features_ if transformer.indicator_ is not None else []
    return stay + [incoming[place] for place in flagged]


def _flagged(transformer: Any, incoming: list[int]) -> list[int]:
    return [incoming[place] for place in transformer.features_]


def _selected(transformer: Any, incoming: list[int]) -> list[int]:
    return [origin for origin, stays in zip(incoming, transformer.get_support(), strict=True) if stays]


def _powers(transformer: Any, incoming: list[int]) -> list[int]:
    made = [{incoming[place] for place in np.flatnonzero(powers)} for powers in transformer.powers_]
    if any(len(some) > 1 for some in made):
        raise Unexplained("PolynomialFeatures that multiplies columns with each other")
    return [some.pop() if some else incoming[0] for some in made]  # a constant adds the same to every row


def _repeated(incoming: Sequence[int], counts: Sequence[int]) -> list[int]:
    return [origin for origin, count in zip(incoming, counts, strict=True) for _ in range(count)]


_RULES: dict[str, Callable[[Any, list[int]], list[int]]] = {
    "ColumnTransformer": _column_transformer,
    "FeatureUnion": _union,
    "KBinsDiscretizer": _binned,
    "MissingIndicator": _flagged,
    "OneHotEncoder": _one_hot,
    "Pipeline": _pipeline,
    "PolynomialFeatures": _powers,
    "SimpleImputer": _imputed,
    "SplineTransformer": _splines,
    "TargetEncoder": _targets,
}
