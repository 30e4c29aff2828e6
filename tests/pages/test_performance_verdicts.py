"""What the pages say of measured performance: the verdict stands beside the drift's, and nothing green beside a collapse."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from tests.conftest import Toy
from tests.support.living import add_nights, live, nights
from tests.support.pages import home, read
from tests.support.toy import train_champion


@pytest.mark.slow
def test_a_collapse_is_seen_on_overview_calendar_and_night(client: TestClient, untrained: Toy) -> None:
    """The outcome turns round on the third night; the inputs stay as they are."""
    toy, days = untrained, nights(5)
    toy.change(training={"holdout_nights": 3})
    train_champion(toy.work)
    add_nights(toy, days[:2])
    add_nights(toy, days[2:], lambda rows: rows.assign(y=~rows["y"]))
    live(toy, days)
    well, collapsed, last = (read(client, f"{home(toy)}/nights/{day}") for day in (days[0], days[3], days[-1]))
    assert "performance alert" not in well.words
    assert "performance alert" in collapsed.words
    assert "Nothing unusual in the columns and the predictions. But performance is alert" in collapsed.words
    assert "Performance: worse than always saying the training data's base rate" in collapsed.words
    assert "Nothing unusual." not in collapsed.words + well.words
    assert "Whether the predictions were good is not measured yet" in last.words
    job = read(client, home(toy))
    labels = [value for name, value in job.attributes if name == "aria-label"]
    assert f"{days[3]}: ok, performance alert" in labels
    assert f"{days[-1]}: ok" in labels  # not measured yet
    assert ("class", "night ok quality-alert") in job.attributes
    assert "measured performance alert" in job.words
    overview = read(client, "/").words
    assert "Performance A alert excess log loss" in overview
    assert "worse than always saying" in overview
    assert "Last 4 measured" in overview
    assert "against the holdout at training" in overview
