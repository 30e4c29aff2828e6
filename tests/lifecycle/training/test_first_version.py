"""``train`` of a first version: crowned when it is worth it, and what is said otherwise; progress while it trains."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from scoring.stores.warehouse import promotions
from tests.conftest import Toy
from tests.support.shell import Shell, done
from tests.support.toy import FIRST, UNTIL, execute

DAY = timedelta(days=1)


def turn(toy: Toy) -> None:
    """Let the holdout's outcomes be the contrary of what the nights before teach."""
    execute(toy.source, f"update events set y = not y where at >= '{UNTIL - 2 * DAY}'")


def crowned(toy: Toy) -> list[int]:
    return [one.model_version for one in promotions.history_of(toy.stores.warehouse, toy.job.name)]


def train(shell: Shell, toy: Toy, *options: Any) -> Any:
    return shell(
        "train", toy.job.name, "--since", FIRST, "--until", UNTIL + DAY, *options
    )  # when all labels were known


def test_first_version_worse_than_the_base_rate_is_registered_and_not_crowned(untrained: Toy, shell: Shell) -> None:
    turn(untrained)
    said = train(shell, untrained)
    assert said.code == 1
    assert "version 1: 1,200 rows" in said.out
    (message,) = [line for line in said.err.splitlines() if line.startswith("VersionRefused: ")]
    for part in (
        "version 1 is the challenger, not champion",
        "always saying the base rate",
        "--anyway",
        f"nightshift promote {untrained.job.name} 1",
    ):
        assert part in message
    assert crowned(untrained) == []
    assert untrained.stores.registry.aliases(untrained.job.name) == {"challenger": 1}


@pytest.mark.parametrize("options", [("--promote",), ()])
def test_anyway_crowns_it(untrained: Toy, shell: Shell, options: tuple[str, ...]) -> None:
    turn(untrained)
    assert train(shell, untrained, *options).code == 1
    assert "is champion from night" in done(train(shell, untrained, "--anyway", *options))
    assert crowned(untrained) == [2]


def test_regression_worse_than_the_mean_is_not_crowned(untrained: Toy, shell: Shell) -> None:
    execute(untrained.source, "alter table events alter column y type double precision using coalesce(x, 0) * 3")
    execute(untrained.source, f"update events set y = -y where at >= '{UNTIL - 2 * DAY}'")
    untrained.change(task="regression", pipeline="tests.support.pipelines:build_linear")
    said = train(shell, untrained)
    assert said.code == 1
    assert "mean absolute error" in said.err
    assert "always saying the mean" in said.err


@pytest.mark.parametrize(("floors", "code"), [({"auc": 0.6, "brier": 0.25}, 0), ({"auc": 0.99}, 1), ({"mae": 1.0}, 1)])
def test_floors_hold_for_train(untrained: Toy, shell: Shell, floors: dict[str, float], code: int) -> None:
    untrained.change(promotion={"min_nights": 2, "floors": floors})
    said = train(shell, untrained)
    assert said.code == code, said.err
    assert ("is asked for" in said.err) == bool(code)


def test_first_version_without_a_holdout_says_so(untrained: Toy, shell: Shell) -> None:
    said = done(shell("train", untrained.job.name, "--since", FIRST, "--until", FIRST + 2 * DAY))
    assert "no holdout: too few nights" in said
    assert "is champion from night" in said


def test_later_version_is_promoted_by_a_person_whatever_it_is_like(untrained: Toy, shell: Shell) -> None:
    done(train(shell, untrained))
    turn(untrained)
    done(train(shell, untrained, "--promote"))
    assert crowned(untrained) == [1, 2]


def test_each_stage_is_a_line_off_a_terminal(untrained: Toy, shell: Shell) -> None:
    said = train(shell, untrained)
    lines = said.err.splitlines()
    what = [line.partition(": ")[2].partition(",")[0] for line in lines]
    assert what == ["read", "evaluate", "fit", "reference", "register"]
    assert "read, 1,200 rows, " in lines[0]
    assert lines[0].endswith(" s")
