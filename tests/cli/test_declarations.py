"""`check` and `accept` of a job file that declares otherwise than the champion was trained with; what follows from it."""

from __future__ import annotations

import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from lifecycle.promotion import promote, rollback
from lifecycle.retraining.record import RetrainingRequest
from lifecycle.retraining.tasks import retrain
from lifecycle.shadow.score import pin, shadow_run
from lifecycle.training.train import train
from scoring.errors import DeclarationMismatch
from scoring.interval import Nights
from scoring.stores.warehouse import actions_of
from tests.conftest import Toy
from tests.support.features import KIND, X, add_feature, declare
from tests.support.living import DAY, score, shown_run
from tests.support.shell import Shell, done
from tests.support.toy import FIRST, NIGHT, ROWS, UNTIL

WIDER = {"x": {**X, "min": None}, "kind": KIND}


def of_x() -> Pipeline:
    """Return a pipeline that learns from ``x`` alone."""
    return make_pipeline(SimpleImputer(), LogisticRegression())


def test_wider_rule_is_accepted_on_record_and_for_these_declarations_only(toy: Toy, shell: Shell) -> None:
    name = toy.job.name
    declare(toy, WIDER)
    refused = shell("run", name, "--night", NIGHT)
    assert refused.code == 1
    assert f"`nightshift accept {name} 1 --reason …`" in refused.err
    assert "type float, nullable, trained with type float, nullable, min -50" in done(
        shell("accept", name, 1, "--reason", "x may be anything")
    )
    (action,) = [each for each in actions_of(toy.stores.warehouse, name) if each.action == "accepted"]
    assert action.reason == "x may be anything"
    assert action.subject.startswith("version 1 under the declarations ")
    done(shell("run", name, "--night", NIGHT))
    assert shown_run(toy, NIGHT).rows_scored == ROWS
    declare(toy, {**WIDER, "kind": {**KIND, "nullable": True}})
    assert "DeclarationMismatch" in shell("run", name, "--night", NIGHT).err


def test_text_in_place_of_a_number_is_not_accepted(toy: Toy, shell: Shell) -> None:
    declare(toy, {"x": {"type": "category", "nullable": True}, "kind": KIND})
    result = shell("accept", toy.job.name, 1, "--reason", "try it")
    assert (result.code, "DeclarationMismatch" in result.err) == (1, True)
    assert not [each for each in actions_of(toy.stores.warehouse, toy.job.name) if each.action == "accepted"]


def test_nothing_to_accept_says_so(toy: Toy, shell: Shell) -> None:
    assert "nothing to accept" in done(shell("accept", toy.job.name, 1, "--reason", "to be sure"))


def test_check_says_what_the_champion_is_scored_without(toy: Toy, shell: Shell) -> None:
    add_feature(toy)
    found = done(shell("check", toy.job.name))
    assert "version 1, the champion, was not trained with ['z'] and is scored without them" in " ".join(found.split())


def test_feature_that_is_gone_is_refused_by_all_that_would_need_it(toy: Toy, shell: Shell) -> None:
    score(toy, NIGHT)
    declare(toy, {"x": X})
    result = shell("check", toy.job.name)
    assert (result.code, "DeclarationMismatch" in result.err) == (1, True)
    assert "no ['kind'] in the job file, which declares ['x']" in result.err
    with pytest.raises(DeclarationMismatch, match="kind: type category"):
        retrain(toy.work, RetrainingRequest("without kind", night=NIGHT))
    with pytest.raises(DeclarationMismatch):
        promote(toy.work, 1, "again", "somebody", UNTIL)
    with pytest.raises(DeclarationMismatch):
        rollback(toy.work, "back", "somebody", 1)
    with pytest.raises(DeclarationMismatch):
        pin(toy.work, 1, nights=3)


def test_version_without_the_feature_that_is_gone_takes_over_by_hand(toy: Toy) -> None:
    score(toy, NIGHT)
    declare(toy, {"x": X}, pipeline="tests.cli.test_declarations:of_x")
    train(toy.work, Nights(FIRST, UNTIL))
    promote(toy.work, 2, "without kind", "somebody")
    assert shadow_run(toy.work, score(toy, NIGHT + DAY)) == []  # its predecessor cannot be scored any more
    assert shown_run(toy, NIGHT + DAY).model_version == 2
