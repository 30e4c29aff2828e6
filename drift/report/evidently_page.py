"""The Evidently page of one night, for people: a sample of it beside a sample of the training data."""

from __future__ import annotations

import hashlib
import re
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from drift.report.harmless import harmless, sealed
from scoring.errors import described
from scoring.job import BINARY, MULTICLASS, REGRESSION, Job, Task
from scoring.settings import quiet_telemetry

_LEVELS = 100
"""Categories beyond the most frequent of these are one level on the page."""
_OTHERS = "(all others)"
_PARTS = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)
_LARGE = 20_000
"""Scripts and styles of more characters are shared by all pages."""


@dataclass(frozen=True)
class _Quality:
    """How outcomes and predictions of a task are given to Evidently."""

    kind: Any
    """Type of outcomes and predictions in Evidently's frames."""
    shown: str
    """Whether the page shows predictions as a ``number`` or as a ``category``."""
    tasks: Callable[[], dict[str, Any]]
    """Makes Evidently's description of the task: which column is the outcome, which the prediction."""
    listed: str | None = None
    """Kind of column, ``number`` or ``category``, that outcome and prediction are listed as; None if they are not listed."""
    least: int = 1
    """Different outcomes that there must be in both samples."""
    needs: str | None = None
    """A column without which there is no quality to show."""

    def possible(self, columns: Mapping[str, str]) -> bool:
        """Return whether the columns of the page suffice."""
        return self.needs is None or self.needs in columns


def _binary() -> dict[str, Any]:
    from evidently import BinaryClassification

    columns = {"target": "outcome", "prediction_labels": "predicted", "prediction_probas": "probability"}
    return {"classification": [BinaryClassification(**columns, pos_label=1)]}


def _multiclass() -> dict[str, Any]:
    from evidently import MulticlassClassification

    return {"classification": [MulticlassClassification(target="outcome", prediction_labels="predicted")]}


def _regression() -> dict[str, Any]:
    from evidently import Regression

    return {"regression": [Regression(target="outcome", prediction="predicted")]}


_QUALITY: dict[Task, _Quality] = {
    BINARY: _Quality(np.int64, "number", _binary, least=2, needs="probability"),
    MULTICLASS: _Quality(object, "category", _multiclass, listed="category"),
    REGRESSION: _Quality(np.float64, "number", _regression, listed="number"),
}


@dataclass(frozen=True)
class Sides:
    """A sample of the night and one of the training data: features, ``prediction``, ``probability…``, ``outcome``."""

    current: pd.DataFrame
    reference: pd.DataFrame
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Per column and signal, the distance that is unusual."""


@dataclass(frozen=True)
class Page:
    """An Evidently page as HTML. Scripts and styles that every page has are files of their own."""

    html: str
    assets: Mapping[str, str]
    """Content of the shared files, by name."""
    left_out: Mapping[str, str]
    """What is not on the page, and why."""


def evidently_page(sides: Sides, job: Job, when: datetime, title: Mapping[str, str], assets: str) -> Page:
    """Return the page. Columns that Evidently cannot take are left out and named, the others keep their place.

    ``title`` is stored with the report; ``assets`` is the URL of the shared files, as seen from the page. Raises what
    Evidently raises when not even one column can be shown.
    """
    quiet_telemetry()
    sides, left_out = _with_outcomes(sides, job)
    kinds, absent = _columns(sides, job)
    try:
        html = _render(sides, job, kinds, when, title)
    except Exception:  # Evidently raises whatever pandas and numpy do: raised again unless some columns are to blame
        refused = {name: _refused(sides, job, name, kind, when) for name, kind in kinds.items()}
        good = {name: kind for name, kind in kinds.items() if not refused[name]}
        if not good or len(good) == len(kinds):
            raise
        absent |= {name: why for name, why in refused.items() if why}
        html = _render(sides, job, good, when, title)
    left_out |= absent
    files: dict[str, str] = {}
    return Page(_PARTS.sub(lambda part: _share(part, assets, files), html), files, left_out)


def _with_outcomes(sides: Sides, job: Job) -> tuple[Sides, dict[str, str]]:
    """Return the rows whose outcome is known, once that is most of the night, and a note. Else all rows, without outcomes."""
    current, reference = (side[side["outcome"].notna()] if "outcome" in side else side[:0] for side in _both(sides))
    enough = len(current) >= len(sides.current) / 2 and len(current) and len(reference)
    if not enough or min(current["outcome"].nunique(), reference["outcome"].nunique()) < _QUALITY[job.task].least:
        plain = [side.drop(columns="outcome", errors="ignore") for side in _both(sides)]
        return Sides(plain[0], plain[1], sides.thresholds), {}
    missing = len(sides.current) - len(current)
    note = {f"{missing:,} of {len(sides.current):,} sampled rows": "no outcome yet"} if missing else {}
    return Sides(current, reference, sides.thresholds), note


def _both(sides: Sides) -> tuple[pd.DataFrame, pd.DataFrame]:
    return sides.current, sides.reference


def _columns(sides: Sides, job: Job) -> tuple[dict[str, str], dict[str, str]]:
    """Return the columns of the page, number or category, and why the others are not on it."""
    kinds, left_out = {}, {}
    for name in (*job.features, job.task.main_column):
        feature = job.features.get(name)
        problem = None
        if feature is not None and (feature.sensitive or name in job.key):
            problem = "sensitive" if feature.sensitive else "a key"
        elif feature is not None and feature.type == "datetime":
            problem = "a point in time"
        elif feature is not None and name not in sides.reference:
            problem = "new: the version was not trained with it"
        elif name not in sides.current or sides.current[name].notna().sum() == 0:
            problem = "no values tonight"
        elif name not in sides.reference or sides.reference[name].notna().sum() == 0:
            problem = "no values at training"
        if problem is None:
            kind = feature.type if feature is not None else _QUALITY[job.task].shown
            kinds[name] = "category" if kind == "category" else "number"
        else:
            left_out[name] = problem
    return kinds, left_out


def _refused(sides: Sides, job: Job, name: str, kind: str, when: datetime) -> str:
    """Return why Evidently cannot take one column alone, or nothing if it can."""
    try:
        _render(sides, job, {name: kind}, when, {})
    except Exception as error:  # noqa: BLE001 - the page names it, and does without the column
        return f"Evidently: {described(error)}"
    return ""


def _render(sides: Sides, job: Job, columns: Mapping[str, str], when: datetime, title: Mapping[str, str]) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside Evidently and what it imports
        from evidently import Dataset, Report

        current, reference = (_shown(_frame(side, columns, job)) for side in (sides.current, sides.reference))
        definition = _definition({harmless(name): kind for name, kind in columns.items()}, job, current)
        report = Report(_metrics(sides, columns, job, current), include_tests=True)
        snapshot = report.run(
            Dataset.from_pandas(current, definition),
            Dataset.from_pandas(reference, definition),
            timestamp=when,
            metadata={name: harmless(value) for name, value in title.items()},
            name=harmless(" ".join(title.values())) or None,
        )
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "page.html"
            snapshot.save_html(str(target))
            return sealed(target.read_text(encoding="utf-8"))


def _frame(side: pd.DataFrame, columns: Mapping[str, str], job: Job) -> pd.DataFrame:
    """Return the columns in types that Evidently takes: float64, and text with few levels."""
    frame: dict[str, Any] = {}
    for name, kind in columns.items():
        if kind == "number":
            frame[name] = (
                pd.to_numeric(side[name], errors="coerce").astype("float64").replace([np.inf, -np.inf], np.nan)
            )
        else:
            text = side[name].astype(object)
            often = text.value_counts().index[:_LEVELS]
            frame[name] = text.where(text.isin(often) | text.isna(), _OTHERS)
    if "outcome" in side:
        kind = _QUALITY[job.task].kind
        frame["outcome"], frame["predicted"] = side["outcome"].astype(kind), side["prediction"].astype(kind)
    return pd.DataFrame(frame)


def _shown(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with its texts and the names of its columns made harmless: they are data, and the page has scripts."""
    texts = frame.select_dtypes(include=["object", "string", "category"]).columns
    made = {name: frame[name].map(lambda value: harmless(value) if isinstance(value, str) else value) for name in texts}
    return frame.assign(**made).rename(columns=harmless)


def _definition(columns: Mapping[str, str], job: Job, current: pd.DataFrame) -> Any:
    from evidently import DataDefinition

    numbers = [name for name, kind in columns.items() if kind == "number"]
    categories = [name for name, kind in columns.items() if kind == "category"]
    if "outcome" not in current:
        return DataDefinition(numerical_columns=numbers, categorical_columns=categories)
    quality = _QUALITY[job.task]
    if quality.listed == "number":
        numbers = [*numbers, "outcome", "predicted"]
    if quality.listed == "category":
        categories = [*categories, "outcome", "predicted"]
    tasks = quality.tasks() if quality.possible(columns) else {}
    return DataDefinition(numerical_columns=numbers, categorical_columns=categories, **tasks)


def _metrics(sides: Sides, columns: Mapping[str, str], job: Job, current: pd.DataFrame) -> Sequence[Any]:
    from evidently.presets import ClassificationPreset, DataDriftPreset, DataSummaryPreset, RegressionPreset

    methods = {name: "jensenshannon" if kind == "category" else "wasserstein" for name, kind in columns.items()}
    signals = {"jensenshannon": "shape", "wasserstein": "shift"}
    aliases = {"probability": "prediction"}
    limits = {
        name: sides.thresholds.get(aliases.get(name, name), {}).get(signals[method], 0.1)
        for name, method in methods.items()
    }
    methods = {harmless(name): method for name, method in methods.items()}
    limits = {harmless(name): limit for name, limit in limits.items()}
    names = list(methods)
    drift = DataDriftPreset(columns=names, per_column_method=methods, per_column_threshold=limits)
    quality = []
    if "outcome" in current and _QUALITY[job.task].possible(columns):
        quality = [ClassificationPreset() if job.task.classifies else RegressionPreset()]
    return [drift, *quality, DataSummaryPreset(columns=names)]


def _share(part: re.Match[str], assets: str, files: dict[str, str]) -> str:
    """Put a large script or style into a file of its own, named by its content, and return the reference to it."""
    kind, content = part.group(1), part.group(2)
    if len(content) < _LARGE or "var metric_" in content[:200]:  # the latter are the night's own data
        return part.group(0)
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    name = f"evidently-{digest}.{'js' if kind == 'script' else 'css'}"
    files[name] = content
    if kind == "script":
        return f'<script src="{assets}/{name}"></script>'
    return f'<link rel="stylesheet" href="{assets}/{name}">'


def with_bar(page: str, bar: str) -> str:
    """Return an Evidently page with ``bar``, a piece of HTML, above everything that it shows."""
    return page.replace("<body>", f"<body>{bar}", 1)
