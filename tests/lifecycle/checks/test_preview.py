"""The preview of a night: columns, quarantine and its reasons, sensitive values hidden."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from lifecycle.checks import preview_night, shown
from scoring.job import HIDDEN_VALUE
from scoring.stores import Workspace
from tests.conftest import Toy
from tests.support.toy import FIRST, NIGHT, ROWS, add, events, write_job

DIRTY = NIGHT + timedelta(days=20)


def dirty(toy: Toy, **features: Any) -> Workspace:
    """Return the job with a night of which three rows are bad: two far out, one without a kind, two of them copies."""
    rows = events(DIRTY, 50)
    rows.loc[3, "x"] = rows.loc[4, "x"] = -99.0
    rows.loc[5, "kind"] = None
    add(toy.source, pd.concat([rows, rows.iloc[[7]]]))
    changed = {"x": {"type": "float", "nullable": True, "min": -50}, "kind": {"type": "category"}, **features}
    return Workspace(toy.stores, write_job(toy.folder, toy.job.name, features=changed))


def test_preview_says_what_would_be_quarantined_and_why(untrained: Toy):
    preview = preview_night(dirty(untrained), 10_000, DIRTY)
    assert (preview.rows, preview.quarantined, preview.whole) == (51, 5, True)
    assert preview.reasons == {"x:below_min": 2, "duplicate_key": 2, "kind:null": 1}
    assert len(preview.examples) == 5
    assert {example["reasons"] for example in preview.examples} == {"x:below_min", "duplicate_key", "kind:null"}
    assert list(preview.examples[0]) == ["reasons", "at", "id", "kind", "x"]


def test_preview_describes_the_columns(untrained: Toy):
    columns = {column.name: column for column in preview_night(dirty(untrained), 10_000, DIRTY).columns}
    assert columns["kind"].nulls == 1
    assert set(columns["kind"].levels) == {"a", "b", "c"}
    assert columns["x"].low == -99.0
    assert columns["x"].nulls > 0
    assert shown(columns["id"]) == "0 to 49"


def test_preview_hides_sensitive_values(untrained: Toy):
    work = dirty(
        untrained, kind={"type": "category", "sensitive": True}, x={"type": "float", "min": -50, "nullable": True}
    )
    preview = preview_night(work, 10_000, DIRTY)
    assert {example["kind"] for example in preview.examples} == {HIDDEN_VALUE, None}
    (kind,) = (column for column in preview.columns if column.name == "kind")
    assert (shown(kind), dict(kind.levels)) == (HIDDEN_VALUE, {})


@pytest.mark.parametrize("rows", [1, 64, 65, 199, 200])
def test_preview_reads_no_more_rows_than_asked(untrained: Toy, rows: int):
    preview = preview_night(untrained.work, rows, FIRST)
    assert preview.rows == rows
    assert preview.whole is False
    assert preview_night(untrained.work, ROWS + 1, FIRST).rows == ROWS


def test_preview_takes_the_last_night_that_has_rows(untrained: Toy):
    assert preview_night(untrained.work, 10).rows == 10


def test_unreadable_values_are_counted_apart_from_nulls(untrained: Toy):
    work = dirty(untrained, kind={"type": "int"})
    (kind,) = (column for column in preview_night(work, 10_000, DIRTY).columns if column.name == "kind")
    assert (kind.nulls, kind.unreadable) == (1, 50)
