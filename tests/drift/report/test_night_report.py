"""Evidently pages of real nights: what is on them, what must never be, and what happens when Evidently fails."""

from __future__ import annotations

import re
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from drift.measure import measure
from drift.report import reported as pages_of
from drift.report import runs_to_report
from drift.report.evidently_page import evidently_page
from drift.report.night_report import prune_reports, sample_sides, write_report, write_report_of_alert
from drift.watch import DriftResult, watch
from scoring.stores import RunFolder
from tests.conftest import Toy
from tests.support.living import DAY, add_nights, judged, score, shown_run
from tests.support.toy import NIGHT, ROWS, execute

pytestmark = pytest.mark.slow

SECRETS = ["secret-alpha", "secret-beta", "secret-gamma"]


@pytest.fixture(autouse=True, scope="module")
def _evidently() -> None:
    """Evidently imports what warns; its own warnings are none of ours."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import evidently.presets  # noqa: F401


def page(toy: Toy, night=NIGHT) -> str:
    return toy.stores.lake.read_text(toy.stores.lake.below(toy.stores.lake.report(toy.job.name, night)))


def reported(toy: Toy, night=NIGHT) -> DriftResult:
    return watch(toy.work, score(toy, night), write_report)


def test_page_says_job_night_version_run_and_verdict(toy: Toy) -> None:
    done = reported(toy)
    html = page(toy)
    bar = html[html.index("<body>") :][:600]
    for word in (
        toy.job.name,
        str(NIGHT),
        "model version 1",
        done.run_id,
        "verdict <b>ok</b>",
        f"{ROWS} of {ROWS} rows",
    ):
        assert word in bar
    assert (done.report, done.report_error) == (f"reports/{toy.job.name}/night={NIGHT}/drift.html", None)
    assert "outcome" not in html  # not measured yet


def test_page_shows_quality_once_the_night_is_measured(toy: Toy) -> None:
    execute(toy.source, f"update events set y = null where id < 20 and at >= '{NIGHT}' and at < '{NIGHT + DAY}'")
    reported(toy)
    measured = measure(toy.work, NIGHT + DAY)
    assert measured == [NIGHT]
    assert list(pages_of(toy.work, runs_to_report(toy.work, [], measured), write_report)) == [
        shown_run(toy, NIGHT).run_id
    ]
    html = page(toy)
    assert "Classification" in html
    assert judged(toy, NIGHT).report_error == "20 of 200 sampled rows (no outcome yet)"


def test_pages_share_their_scripts_and_ask_nobody_outside(toy: Toy) -> None:
    reported(toy)
    reported(toy, NIGHT + DAY)
    html = page(toy)
    assets = Path(toy.stores.lake.below("reports/assets"))
    names = sorted(path.name for path in assets.iterdir())
    assert len(names) == 2
    assert all(f"../../assets/{name}" in html for name in names)
    assert sum(path.stat().st_size for path in assets.iterdir()) > 3_000_000 > 10 * len(page(toy, NIGHT + DAY))
    assert re.findall(r'(?:src|href)="(?!\.\./\.\./assets/)(?!data:|#)[^"]*"', html) == []


def test_keys_and_sensitive_values_are_on_no_page(toy: Toy) -> None:
    """``kind`` becomes a sensitive column with telling values; the key ``id`` gets numbers that stand out."""
    column = {"type": "category", "sensitive": True}
    toy.change(
        features={"x": {"type": "float", "nullable": True, "min": -50}, "kind": column}, gate={"max_mean_shift_sd": 99}
    )
    telling = lambda rows: rows.assign(kind=np.resize(SECRETS, len(rows)), id=rows["id"] + 987_654_000)  # noqa: E731
    add_nights(toy, [NIGHT], telling)
    done = reported(toy)
    html = page(toy)
    assert done.verdict == "alert"  # compared all the same
    assert done.report_error is not None
    assert "kind (sensitive)" in done.report_error
    assert not [word for word in (*SECRETS, "987654") if word in html.replace(",", "")]
    execute(toy.source, f"update events set kind = 'secret-delta' where at >= '{NIGHT}'")
    toy.change(
        features={"x": {"type": "float", "nullable": True, "min": -50}, "kind": {"type": "category"}},
        gate={"max_mean_shift_sd": 99},
    )
    reported(toy)
    assert "secret-delta" in page(toy)  # the search would have found it


@pytest.mark.parametrize(
    ("change", "left_out"),
    [
        (lambda rows: rows.assign(x=np.nan), "x (no values tonight)"),
        (lambda rows: rows.assign(x=1.5), None),
        (lambda rows: rows.head(10), None),
        (lambda rows: rows.head(1), None),
    ],
    ids=["all null", "constant", "ten rows", "one row"],
)
def test_odd_nights_keep_their_page(toy: Toy, change, left_out: str | None) -> None:
    toy.change(gate={"max_mean_shift_sd": 99})
    add_nights(toy, [NIGHT], change)
    done = reported(toy)
    assert done.report is not None
    assert done.report_error == left_out
    assert "kind" in page(toy)


def test_chunk_without_an_accepted_row_loses_neither_page_nor_performance(toy: Toy) -> None:
    """The first 64 rows, one chunk, all go to quarantine."""
    toy.change(gate={"max_quarantine_share": 1, "max_mean_shift_sd": 99})
    add_nights(toy, [NIGHT], lambda rows: rows.assign(kind=rows["kind"].where(np.arange(len(rows)) >= 64)))
    assert reported(toy).report is not None
    measured = measure(toy.work, NIGHT + DAY)
    assert measured == [NIGHT]
    assert list(pages_of(toy.work, runs_to_report(toy.work, [], measured), write_report)) == [
        shown_run(toy, NIGHT).run_id
    ]
    assert f"{ROWS - 64} of {ROWS - 64} rows" in page(toy)


def test_column_that_evidently_refuses_is_left_out_and_named(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strings in a number column make Evidently raise; the other column's result stays."""
    sides, _ = sample_sides(toy.work, scored(toy))

    def frame(side: pd.DataFrame, columns, job):
        made = original(side, columns, job)
        return made.assign(x=pd.Series([{"no": "number"}] * len(made), dtype=object)) if "x" in made else made

    report = sys.modules[evidently_page.__module__]  # the package has the function under the module's name
    original = report._frame
    monkeypatch.setattr(report, "_frame", frame)
    made = evidently_page(sides, toy.job, toy.stores.clock(), {"job": "toy"}, "assets")
    assert made.left_out["x"].startswith("Evidently: ")
    assert "kind" in made.html


def scored(toy: Toy):
    score(toy, NIGHT)
    watch(toy.work, shown_run(toy, NIGHT).run_id)
    return shown_run(toy, NIGHT)


def test_page_that_fails_leaves_the_verdict_and_says_why(toy: Toy) -> None:
    run = scored(toy)
    write_report(toy.work, run)
    ref = RunFolder(toy.stores.lake, run).version_ref()
    sample = Path(ref.uri) / "reference.parquet"
    sound = sample.read_bytes()
    sample.write_bytes(b"no parquet")
    path, why = write_report(toy.work, run)
    sample.write_bytes(sound)
    assert path is None
    assert why is not None
    assert "reference.parquet was not read" in why
    assert not toy.stores.lake.exists(toy.stores.lake.below(toy.stores.lake.report(toy.job.name, NIGHT)))
    done = watch(toy.work, run.run_id, lambda *_: (path, why))
    assert (done.verdict, judged(toy, NIGHT).verdict, judged(toy, NIGHT).report_error) == ("ok", "ok", why)


def test_sample_is_bounded_spread_over_the_chunks_and_the_same_every_time(toy: Toy) -> None:
    toy.change(monitor={"report_rows": 100})
    run = scored(toy)
    sides, rows = sample_sides(toy.work, run)
    again, _ = sample_sides(toy.work, run)
    assert rows == ROWS
    assert 70 <= len(sides.current) <= 100
    assert len(sides.reference) == 100
    pd.testing.assert_frame_equal(sides.current, again.current)
    pd.testing.assert_frame_equal(sides.reference, again.reference)
    assert sides.thresholds["x"]["shift"] > 0


def test_second_run_of_a_night_replaces_its_page(toy: Toy) -> None:
    first, second = reported(toy), reported(toy)
    assert first.report == second.report
    assert second.run_id in page(toy)
    assert first.run_id not in page(toy)


def test_a_backfill_makes_pages_of_alerts_and_of_nights_that_have_one(toy: Toy) -> None:
    quiet = score(toy, NIGHT)
    assert watch(toy.work, quiet, write_report_of_alert).report is None
    assert list(toy.stores.lake.reports(toy.job.name)) == []
    execute(toy.source, f"update events set x = x + 1.5 where at::date = '{NIGHT + DAY}'")
    odd = score(toy, NIGHT + DAY)
    watched = watch(toy.work, odd, write_report_of_alert)
    assert (watched.verdict, watched.report is not None) == ("alert", True)
    reported(toy)
    again = score(toy, NIGHT)
    assert watch(toy.work, again, write_report_of_alert).report is not None
    assert again in page(toy)


def test_old_pages_are_removed(toy: Toy) -> None:
    for day in (NIGHT, NIGHT + DAY):
        reported(toy, day)
    toy.change(monitor={"keep_reports_nights": 10})
    assert prune_reports(toy.work, NIGHT + timedelta(days=10)) == []
    assert prune_reports(toy.work, NIGHT + timedelta(days=11)) == [NIGHT]
    assert list(toy.stores.lake.reports(toy.job.name)) == [NIGHT + DAY]
    assert judged(toy, NIGHT).verdict == "ok"
