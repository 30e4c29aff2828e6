"""Nights that are refused before they are read leave a row in the ledger, and a run sees one job file from begin to end."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from scoring.errors import ChampionMissing, DeclarationMismatch, EmptyNight, NightError, VersionMissing
from scoring.interval import parse_night
from scoring.night.begun import as_begun
from scoring.night.extract import extract
from scoring.night.publish import publish
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.night.score import score_chunk
from scoring.stores.warehouse import Run, ledger
from tests.conftest import Toy
from tests.support.features import KIND, X, add_feature, declare
from tests.support.toy import FIRST, NIGHT, ROWS

DAY = timedelta(days=1)


def request(toy: Toy, night: date = NIGHT, **facts: Any) -> NightRequest:
    return NightRequest(night, toy.stores.clock(), "test", **facts)


def refused(toy: Toy, error: type[Exception], night: date = NIGHT, **facts: Any) -> tuple[str, Run]:
    """Return the error's message and the row that the attempt left."""
    with pytest.raises(error) as caught:
        run_night(toy.work, request(toy, night, **facts))
    (run,) = ledger.runs_of(toy.stores.warehouse, toy.job.name, night)
    return str(caught.value), run


def test_night_without_a_champion_leaves_a_failed_row(untrained: Toy) -> None:
    message, run = refused(untrained, ChampionMissing)
    assert (run.status, run.stage, run.reason) == ("failed", "extract", f"ChampionMissing: {message}")
    assert (run.model_version, run.model_sha256, run.finished_at is not None) == (0, "", True)


def test_night_with_a_version_that_is_not_there_leaves_a_row_that_names_it(toy: Toy) -> None:
    message, run = refused(toy, VersionMissing, model_version=9)
    assert (run.status, run.model_version, run.reason) == ("failed", 9, f"VersionMissing: {message}")


def test_night_after_the_last_of_the_schedule_is_refused_on_record(toy: Toy) -> None:
    toy.change(schedule={"timezone": "UTC", "first_night": FIRST, "last_night": NIGHT})
    message, run = refused(toy, NightError, NIGHT + DAY)
    assert f"expected schedule.last_night, {NIGHT}, or an earlier one" in message
    assert (run.status, run.reason) == ("failed", f"NightError: {message}")
    assert run_night(toy.work, request(toy)).status == "published"


def test_empty_night_names_the_stage_that_refused(toy: Toy) -> None:
    message, run = refused(toy, EmptyNight, date(2024, 3, 1))
    assert message.startswith(f"night 2024-03-01 of {toy.job.name}: found 0 rows at stage extract")
    assert (run.status, run.stage) == ("failed", "extract")


@pytest.mark.parametrize(
    ("features", "found"),
    [
        ({"x": X}, "no ['kind'] in the job file, which declares ['x']"),
        ({"x_now": X, "kind": KIND}, "no ['x'] in the job file, which declares ['x_now', 'kind']"),
        ({"x": {"type": "category", "nullable": True}, "kind": KIND}, "features.x: type category, nullable"),
        ({"x": {**X, "min": -60}, "kind": KIND}, "features.x: type float, nullable, min -60"),
    ],
)
def test_night_whose_job_file_lacks_what_the_version_needs_is_refused_before_a_row_is_read(
    toy: Toy, features: dict[str, Any], found: str
) -> None:
    declare(toy, features, "x as x_now")
    message, run = refused(toy, DeclarationMismatch)
    assert f"found {found}" in message
    assert "type float, nullable, min -50" in message or "kind: type category" in message
    assert (run.status, run.model_version, run.rows_extracted) == ("failed", 1, None)


@pytest.mark.parametrize(
    "text",
    ["2013-4-1", "2013-04-1", " 2013-04-01", "2013-04-01 ", "20130401", "2013-W14-1", "2013-04-01T00:00", "٢٠١٣-٠٤-٠١"],
)
def test_night_is_written_in_one_way(text: str) -> None:
    with pytest.raises(NightError, match="expected a calendar day as YYYY-MM-DD"):
        parse_night(text)


def test_moment_is_no_night(toy: Toy) -> None:
    with pytest.raises(NightError, match="expected a date"):
        request(toy, datetime(2024, 1, 7, 12, tzinfo=toy.stores.clock().tzinfo))


def test_run_goes_on_with_the_job_file_that_it_began_with(toy: Toy) -> None:
    extracted = extract(toy.work, request(toy))
    add_feature(toy, first=True, gate={"min_rows": 10**9})
    assert "z" in toy.job.features
    work = as_begun(toy.work, extracted.run_id)
    for number in range(extracted.chunks):
        score_chunk(work, extracted.run_id, number)
    published = publish(work, extracted.run_id)
    assert (published.status, published.rows) == ("published", ROWS)
