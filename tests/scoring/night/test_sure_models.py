"""Nights of a model that is sure of nearly every row, from training to publication."""

from __future__ import annotations

import json

import pytest

from scoring.errors import NightHeld
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from tests.conftest import Toy
from tests.support.registry import record_anew
from tests.support.toy import FIRST, NIGHT, execute, train_champion

CHANGES = {
    "task": "multiclass",
    "label": {"column": "y", "classes": ["a", "b", "c"]},
    "training": {"holdout_nights": 2},
    "features": {"x": {"type": "float", "nullable": True}, "kind": {"type": "category"}},
}


@pytest.fixture
def sure(untrained: Toy) -> Toy:
    """A champion of three classes that one column gives away."""
    execute(untrained.source, "alter table events alter column y type text using kind")
    untrained.change(**CHANGES)
    train_champion(untrained.work)
    return untrained


def score(toy: Toy) -> str:
    return run_night(toy.work, NightRequest(NIGHT, toy.stores.clock(), "cli")).status


def test_night_of_a_sure_model_is_published(sure: Toy) -> None:
    assert score(sure) == "published"


def test_night_without_the_column_that_makes_it_sure_is_held(sure: Toy) -> None:
    execute(sure.source, f"update events set kind = 'new' where at >= '{NIGHT}'")
    with pytest.raises(NightHeld, match="mean prediction"):
        score(sure)


def test_version_keeps_how_its_training_nights_differed(sure: Toy) -> None:
    (ref,) = sure.stores.registry.versions(sure.job.name)
    usual = sure.stores.registry.load(ref, sure.job).usual
    assert usual.nights == (NIGHT - FIRST).days
    assert 0 < usual.farthest < 0.05


def test_version_from_before_that_was_kept_scores_as_well(sure: Toy) -> None:
    (ref,) = sure.stores.registry.versions(sure.job.name)
    profile = sure.stores.settings.data_dir.glob("models/**/reference_profile.json")
    for path in profile:
        content = json.loads(path.read_text())
        del content["usual_nights"]
        path.write_text(json.dumps(content))
    record_anew(sure.stores, ref)
    assert sure.stores.registry.load(ref, sure.job).usual.nights == 0
    assert score(sure) == "published"
