"""The page of a backtest, over HTTP."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

from lifecycle.backtest.fits import Fits
from lifecycle.backtest.life import lived
from lifecycle.backtest.policies import policy_of
from lifecycle.backtest.result import result_of
from tests.conftest import Toy
from tests.support.histories import history, stream_job
from tests.support.pages import EVIL, home, read


@pytest.fixture
def lived_again(toy: Toy) -> dict:
    """What a backtest on a stream found, put where the job's own would be."""
    fits = Fits(history(stream_job()))
    policies = [policy for name in ("never", "every-5", "every-5-ungated") if (policy := policy_of(name)) is not None]
    runs = [lived(fits, policy) for policy in policies]
    result = {**result_of(fits, runs, policies), "made_at": "2024-03-01T02:03:04+00:00"}
    result["policies"][1]["retrained"][0]["detail"] = EVIL
    toy.stores.lake.write_json(toy.stores.lake.below(f"backtests/{toy.job.name}/backtest.json"), result)
    return result


def test_page_shows_every_policy_with_its_gain_and_what_follows(client: TestClient, toy: Toy, lived_again: dict):
    page = read(client, f"{home(toy)}/backtest")
    for line in lived_again["policies"]:
        assert line["words"] in page.words
        assert f"{line['loss']['value']:.4f}" in page.words
    gain = lived_again["policies"][2]["gain"]
    assert f"{gain['value']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})" in page.words
    assert lived_again["recommendation"]["sentence"] in page.words
    assert "max_age_nights: 4" in page.words
    assert EVIL in page.text


def test_page_draws_a_curve_for_each_policy_and_the_gain_by_age(client: TestClient, toy: Toy, lived_again: dict):
    page = read(client, f"{home(toy)}/backtest")
    classes = [value for name, value in page.attributes if name == "class" and value is not None]
    assert {"line p1", "line p2", "line level"} <= set(classes)
    assert classes.count("mark") == len(lived_again["ageing"])
    points = [value for name, value in page.attributes if name == "points" and value is not None]
    assert all(re.fullmatch(r"(-?[\d.]+,-?[\d.]+ ?)+", value) for value in points)


def test_job_page_leads_to_the_backtest(client: TestClient, toy: Toy):
    assert f"/nightshift{home(toy)}/backtest" in read(client, home(toy)).links


def test_job_without_backtest_is_told_the_command(client: TestClient, toy: Toy):
    assert f"nightshift backtest {toy.job.name}" in read(client, f"{home(toy)}/backtest").words


def test_backtest_of_another_job_is_not_shown(client: TestClient, toy: Toy, readable: set, lived_again: dict):
    readable.clear()
    assert toy.job.name in read(client, f"{home(toy)}/backtest", 404).words
