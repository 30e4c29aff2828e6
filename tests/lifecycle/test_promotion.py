"""Promotion and rollback: who is champion at which night, and where the alias points."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from lifecycle.promotion import promote, rollback
from lifecycle.training.train import train
from scoring.errors import ChampionMissing, PromotionRefused, VersionMissing
from scoring.interval import Nights
from scoring.night.champion import champion_version
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.stores.installation import open_stores
from scoring.stores.warehouse import promotions, retrainings
from scoring.stores.warehouse.promotions import Promotion, champion_at
from scoring.stores.warehouse.schema import ensure_job
from tests.conftest import Toy, new_database
from tests.support.registry import folder_of, installation
from tests.support.toy import FIRST, NIGHT, UNTIL, add, events, write_job

DAY = timedelta(days=1)
_numbers = itertools.count()


@pytest.fixture(scope="module")
def kept(data_dir: Path, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """A trained toy job: its source and the files of its version serve all tests."""
    with installation(data_dir, template, tmp_path_factory.mktemp("promoting_toy")) as toy:
        yield toy


@pytest.fixture
def versions(kept: Toy, data_dir: Path, template: str, tmp_path: Path) -> Iterator[Toy]:
    """A job with a warehouse of its own and versions 1 to 3, the same artifact each, none of them promoted."""
    for name in ("jobs", "sql"):
        (tmp_path / name).mkdir()
    places = {"data_dir": tmp_path, "jobs_dir": tmp_path / "jobs", "sql_dir": tmp_path / "sql"}
    url = SecretStr(new_database(data_dir, template))
    settings = kept.stores.settings.model_copy(update={**places, "warehouse_url": url})
    toy = Toy(
        open_stores(settings, kept.stores.clock), write_job(tmp_path, f"crown_{next(_numbers)}"), kept.source, tmp_path
    )
    ensure_job(toy.stores.warehouse, toy.job)
    (first,) = kept.stores.registry.versions(kept.job.name)
    for _ in range(3):
        toy.stores.registry.register(toy.job.name, folder_of(first), kept.stores.registry.facts(first), {})
    yield toy
    toy.stores.warehouse.engine.dispose()


def crown(toy: Toy, version: int, effective_from: date | None = None) -> Promotion:
    return promote(toy.work, version, f"why {version}", "somebody", effective_from)


def back(toy: Toy, to: int | None = None) -> Promotion:
    return rollback(toy.work, "it was worse", "somebody", to)


def publish(toy: Toy, night: date, model_version: int | None = None) -> None:
    run_night(toy.work, NightRequest(night, datetime.now(UTC), "test", model_version=model_version))


def champions(toy: Toy, *nights: date) -> list[int | None]:
    known = promotions.history_of(toy.stores.warehouse, toy.job.name)
    return [champion_at(known, night) for night in nights]


def alias(toy: Toy) -> int:
    return toy.stores.registry.aliases(toy.job.name)["champion"]


def test_first_promotion_takes_effect_at_the_versions_until(versions: Toy) -> None:
    made = crown(versions, 1)
    assert (made.effective_from, made.kind, made.reason, made.promoted_by) == (UNTIL, "promotion", "why 1", "somebody")
    assert promotions.history_of(versions.stores.warehouse, versions.job.name) == [made]
    assert champions(versions, UNTIL - DAY, UNTIL, date.max) == [None, 1, 1]
    assert alias(versions) == 1


def test_first_promotion_takes_effect_at_until_also_when_nights_were_published_without(versions: Toy) -> None:
    publish(versions, NIGHT + DAY, model_version=1)
    assert crown(versions, 1).effective_from == UNTIL


def test_promotion_takes_effect_the_night_after_the_last_published(versions: Toy) -> None:
    crown(versions, 1)
    publish(versions, NIGHT + DAY)
    publish(versions, NIGHT)
    assert crown(versions, 2).effective_from == NIGHT + 2 * DAY
    assert champions(versions, NIGHT + DAY, NIGHT + 2 * DAY) == [1, 2]
    assert alias(versions) == 2


def test_promotion_before_anything_was_published_replaces_the_first(versions: Toy) -> None:
    crown(versions, 1)
    assert crown(versions, 2).effective_from == UNTIL
    assert champions(versions, UNTIL) == [2]


def test_promotion_of_an_older_version_does_not_lose_to_one_on_record(versions: Toy) -> None:
    """Version 4 ends before version 1 does: from its own ``until`` it would be champion for one night only."""
    crown(versions, 1)
    older = train(versions.work, Nights(FIRST, UNTIL - DAY)).ref
    assert crown(versions, older.version).effective_from == UNTIL
    assert champions(versions, date.max) == [older.version]
    assert alias(versions) == older.version


def test_promotion_with_only_early_nights_published_does_not_lose_to_one_on_record(versions: Toy) -> None:
    crown(versions, 1)
    publish(versions, FIRST, model_version=1)  # a backfill of the past
    assert crown(versions, 2).effective_from == UNTIL
    assert champions(versions, date.max) == [2]


def test_promotion_takes_effect_at_the_night_it_names(versions: Toy) -> None:
    crown(versions, 1)
    crown(versions, 2, date(2024, 3, 1))
    assert champions(versions, date(2024, 2, 29), date(2024, 3, 1)) == [1, 2]
    assert alias(versions) == 2


def test_promotion_for_past_nights_leaves_the_present_champion_and_the_alias(versions: Toy) -> None:
    crown(versions, 1)
    older = train(versions.work, Nights(FIRST, UNTIL - 2 * DAY)).ref.version
    crown(versions, older, UNTIL - 2 * DAY)
    assert champions(versions, UNTIL - 3 * DAY, UNTIL - 2 * DAY, UNTIL - DAY, UNTIL) == [None, older, older, 1]
    assert alias(versions) == 1


def test_promotion_takes_effect_after_the_nights_that_the_version_was_trained_on(versions: Toy) -> None:
    older = train(versions.work, Nights(FIRST, UNTIL - 2 * DAY)).ref.version
    crown(versions, older)
    publish(versions, UNTIL - 2 * DAY)
    assert crown(versions, 1).effective_from == UNTIL, "not from the next night to be scored, which it was trained on"
    assert champions(versions, UNTIL - 2 * DAY, UNTIL - DAY, UNTIL) == [older, older, 1]


def test_rollback_to_a_version_takes_effect_after_the_nights_it_was_trained_on(versions: Toy) -> None:
    older = [train(versions.work, Nights(FIRST, UNTIL - n * DAY)).ref.version for n in (2, 1)]
    crown(versions, older[0])
    publish(versions, UNTIL - 2 * DAY)
    assert back(versions, to=1).effective_from == UNTIL


@pytest.mark.parametrize("early", [FIRST - DAY, FIRST, UNTIL - DAY])
def test_promotion_from_a_night_that_the_version_was_trained_on_is_refused(versions: Toy, early: date) -> None:
    said = f"found effective from {early}; expected {UNTIL} or later, .* trained .*Next: leave --effective-from out"
    with pytest.raises(PromotionRefused, match=said):
        crown(versions, 1, early)
    assert promotions.history_of(versions.stores.warehouse, versions.job.name) == []


def later_than_the_clock(toy: Toy) -> date:
    return toy.stores.clock().date() + 5 * DAY


def test_promotion_derives_no_night_from_a_publication_ahead_of_the_clock(versions: Toy) -> None:
    crown(versions, 1)
    publish(versions, NIGHT)
    ahead = later_than_the_clock(versions)
    versions.change(schedule={"timezone": "UTC", "first_night": FIRST})
    add(versions.source, events(NIGHT + DAY).assign(at=lambda rows: rows["at"] + (ahead - NIGHT - DAY)))
    request = NightRequest(ahead, datetime.now(UTC), "test", unfinished=True)
    assert run_night(versions.work, request).status == "published"
    assert crown(versions, 2).effective_from == NIGHT + DAY
    assert back(versions).effective_from == NIGHT + DAY


def test_promotion_replaces_what_was_to_come_ahead_of_the_clock(versions: Toy) -> None:
    crown(versions, 1)
    publish(versions, NIGHT)
    ahead = later_than_the_clock(versions)
    crown(versions, 2, ahead)
    made = crown(versions, 3)
    assert made.effective_from == NIGHT + DAY
    assert champions(versions, NIGHT, NIGHT + DAY, ahead - DAY, ahead, date.max) == [1, 3, 3, 3, 3]
    assert alias(versions) == 3
    assert back(versions).model_version == 1, "version 2 was never champion"
    assert champions(versions, NIGHT, NIGHT + DAY, ahead, date.max) == [1, 1, 1, 1]


def test_retraining_that_promotes_again_leaves_what_was_planned_since(versions: Toy) -> None:
    ahead = later_than_the_clock(versions)
    crown(versions, 1)
    crown(versions, 2, ahead)
    number = retrainings.begin(
        versions.stores.warehouse,
        {
            "job": versions.job.name,
            "night": NIGHT,
            "trigger": "hand",
            "reason": "test",
            "since": FIRST,
            "until": UNTIL,
            "decision_id": None,
            "airflow_run_id": None,
            "forced": False,
            "started_at": versions.stores.clock(),
        },
    ).retraining_id
    for _ in range(2):
        promote(versions.work, 3, "why", "nightshift", retraining_id=number)
    assert champions(versions, UNTIL, ahead) == [3, 3]
    crown(versions, 2, ahead)
    promote(versions.work, 3, "why", "nightshift", retraining_id=number)
    assert champions(versions, UNTIL, ahead) == [3, 2]


def test_rollback_of_a_promotion_ahead_of_the_clock_leaves_nothing_of_it(versions: Toy) -> None:
    crown(versions, 1)
    publish(versions, NIGHT)
    crown(versions, 2, later_than_the_clock(versions))
    assert back(versions).effective_from == NIGHT + DAY
    assert champions(versions, NIGHT, NIGHT + DAY, date.max) == [1, 1, 1]


def test_promotion_of_a_version_that_is_not_there_changes_nothing(versions: Toy) -> None:
    crown(versions, 1)
    with pytest.raises(VersionMissing, match=r"found versions \[1, 2, 3\]"):
        crown(versions, 7)
    assert champions(versions, date.max) == [1]
    assert alias(versions) == 1


def test_rollback_gives_the_crown_to_the_champion_before(versions: Toy) -> None:
    crown(versions, 1)
    publish(versions, NIGHT)
    crown(versions, 2)
    publish(versions, NIGHT + DAY)
    made = back(versions)
    assert (made.model_version, made.kind, made.reason) == (1, "rollback", "it was worse")
    assert made.effective_from == NIGHT + 2 * DAY
    assert champions(versions, NIGHT, NIGHT + DAY, NIGHT + 2 * DAY) == [1, 2, 1]
    assert alias(versions) == 1


def test_promotion_and_rollback_keep_the_artifact(versions: Toy) -> None:
    crown(versions, 1)
    crown(versions, 2)
    back(versions)
    known = promotions.history_of(versions.stores.warehouse, versions.job.name)
    refs = [versions.stores.registry.resolve(versions.job.name, version) for version in (1, 2, 1)]
    assert [(one.model_sha256, one.model_uri) for one in known] == [(ref.sha256, ref.uri) for ref in refs]


def test_rollback_before_the_new_champion_scored_anything_undoes_it(versions: Toy) -> None:
    crown(versions, 1)
    publish(versions, NIGHT)
    crown(versions, 2)
    assert back(versions).effective_from == NIGHT + DAY
    assert champions(versions, NIGHT, NIGHT + DAY) == [1, 1]


def test_rollback_among_promotions_of_one_night_takes_the_last_displaced(versions: Toy) -> None:
    for version in (1, 2, 3):
        crown(versions, version)  # nothing published: all take effect at UNTIL
    assert back(versions).model_version == 2
    assert champions(versions, UNTIL) == [2]
    assert alias(versions) == 2


def test_rollback_undoes_a_promotion_that_was_to_come(versions: Toy) -> None:
    crown(versions, 1)
    publish(versions, NIGHT)
    crown(versions, 2, date(2024, 3, 1))
    assert back(versions).model_version == 1
    assert champions(versions, NIGHT, date(2024, 2, 29), date(2024, 3, 1), date.max) == [1, 1, 1, 1]
    assert alias(versions) == 1


def test_rollback_takes_the_version_it_names(versions: Toy) -> None:
    for version in (1, 2):
        crown(versions, version)
    made = back(versions, to=3)  # never promoted before
    assert (made.model_version, made.kind, alias(versions)) == (3, "rollback", 3)
    with pytest.raises(VersionMissing, match="version 7"):
        back(versions, to=7)


def test_rollback_twice_goes_further_back_and_never_to_what_was_rolled_back(versions: Toy) -> None:
    for version in (1, 2, 3):
        crown(versions, version)
    assert [back(versions).model_version, back(versions).model_version] == [2, 1]
    with pytest.raises(ChampionMissing, match="expected an earlier champion"):
        back(versions)
    crown(versions, 3)
    assert back(versions).model_version == 1


@pytest.mark.parametrize("to", [None, 1])
def test_rollback_without_any_promotion_is_refused(versions: Toy, to: int | None) -> None:
    with pytest.raises(ChampionMissing, match=r"found promotions of versions \[\]; expected an earlier champion"):
        back(versions, to)


def test_rollback_without_an_earlier_champion_is_refused(versions: Toy) -> None:
    for _ in range(2):
        crown(versions, 1)
    with pytest.raises(ChampionMissing, match=r"promotions of versions \[1, 1\].*--to"):
        back(versions)
    assert alias(versions) == 1


def test_champion_version_says_from_when_there_is_one(versions: Toy) -> None:
    with pytest.raises(ChampionMissing, match=f"found promotions effective from no night.* train .* --until {NIGHT}"):
        champion_version(versions.work, NIGHT)
    crown(versions, 1)
    assert champion_version(versions.work, NIGHT) == 1
    with pytest.raises(ChampionMissing, match=str(UNTIL)):
        champion_version(versions.work, UNTIL - DAY)
