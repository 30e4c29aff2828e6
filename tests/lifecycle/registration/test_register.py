"""A model that was fitted elsewhere becomes a version: what is made for it, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lifecycle.registration import (
    Registered,
    RegistrationRequest,
    judged,
    model_file,
    open_model,
    register,
    seen_until,
)
from scoring.errors import ArtifactMismatch
from tests.conftest import Toy
from tests.support.elsewhere import fitted, saved
from tests.support.runs import run, shown
from tests.support.toy import UNTIL, events

DAY = timedelta(days=1)


def registered(toy: Toy, path: Path | str, **said: Any) -> Registered:
    """Register a file of which all is trusted."""
    allowed = said.pop("allowed", ())
    opened = open_model(model_file(toy.stores, str(path)), toy.job, trusted=True, allowed=allowed)
    request = RegistrationRequest(said.pop("until", UNTIL), **said)
    return register(toy.work, opened, request, seen_until(toy.work, request.trained_until))


def test_register_makes_a_champion_of_a_pickle_and_a_night_is_scored_with_it(untrained: Toy, tmp_path: Path) -> None:
    model = fitted()
    made = registered(untrained, saved(model, tmp_path / "model.joblib"))
    outcome = judged(untrained.work, made, "tests")
    assert outcome.champion_from == UNTIL
    assert made.evidence is not None and made.evidence.first == UNTIL and made.facts.metrics["holdout_auc"] > 0.7
    run(untrained)
    frame = events(UNTIL)
    said = dict(zip(frame.id, model.predict_proba(frame[["x", "kind"]])[:, 1], strict=True))
    published = shown(untrained, "id, probability")
    assert len(published) > 150 and {key: said[key] for key, _ in published} == dict(published)


def test_register_opens_no_pickle_that_nobody_trusts(untrained: Toy, tmp_path: Path) -> None:
    file = model_file(untrained.stores, str(saved(fitted(), tmp_path / "model.pkl")))
    with pytest.raises(ArtifactMismatch, match=f"sha256 {file.sha256}; .*--trust"):
        open_model(file, untrained.job)
