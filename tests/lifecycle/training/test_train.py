"""Training on a window of nights: what is read, what is not, and what is said when it cannot give a model."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import SecretStr
from sklearn import metrics

from lifecycle.training.rows import labelled_rows
from lifecycle.training.train import Trained, train
from scoring.errors import ContractError, NightError, PredictionError, TrainingDataError
from scoring.interval import Nights
from scoring.rows.prediction import to_frame
from scoring.settings import Settings
from scoring.stores import embedded
from scoring.stores.installation import open_stores
from scoring.stores.workspace import Workspace
from tests.conftest import Toy, drop_database, new_database
from tests.support.toy import (
    FIRST,
    LABELS,
    ROWS,
    TRAIN_NIGHTS,
    UNTIL,
    add,
    build_pipeline,
    events,
    execute,
    write_job,
)

DAY = timedelta(days=1)
_numbers = itertools.count()
WINDOW = Nights(FIRST, UNTIL)
CLEAN = {"x": {"type": "float", "nullable": True, "min": -50}, "kind": {"type": "category"}}


@pytest.fixture
def untrained(data_dir: Path, template: str, toy_source: str, tmp_path: Path) -> Iterator[Toy]:
    """A toy job with a source and a warehouse of its own."""
    with alone(data_dir, template, toy_source, tmp_path) as toy:
        yield toy


@pytest.fixture(scope="module")
def unchanged(data_dir: Path, template: str, toy_source: str, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The version of the source's rows as they are."""
    with alone(data_dir, template, toy_source, tmp_path_factory.mktemp("unchanged")) as toy:
        return train(toy.work, WINDOW)


@contextmanager
def alone(data_dir: Path, template: str, toy_source: str, folder: Path) -> Iterator[Toy]:
    for name in ("jobs", "sql"):
        (folder / name).mkdir()
    source, warehouse = new_database(data_dir, toy_source), new_database(data_dir, template)
    settings = Settings(
        data_dir=folder,
        sql_dir=folder / "sql",
        sources={"toy": SecretStr(source)},
        warehouse_url=SecretStr(warehouse),
        registry_url=SecretStr(embedded.url(data_dir / "postgres", "registry")),
        code_version="test",
    )
    stores = open_stores(settings, lambda: datetime.now(UTC))
    yield Toy(stores, write_job(folder, f"trained_{next(_numbers)}"), source, folder)
    stores.warehouse.engine.dispose()
    for url in (source, warehouse):
        drop_database(data_dir, url)


def trained(toy: Toy, window: Nights = WINDOW, **changes: Any) -> Trained:
    if changes:
        toy.change(**changes)
    return train(toy.work, window)


def pipeline_of(toy: Toy, done: Trained) -> Any:
    return toy.stores.registry.load(done.ref, toy.job).pipeline


def write_labels(toy: Toy, text: str) -> None:
    toy.stores.labels_query(toy.job).path.write_text(text)


def label_type(toy: Toy, kind: str, using: str) -> None:
    execute(toy.source, f"alter table events alter column y type {kind} using {using}")


# ---------------------------------------------------------------- what is read


def test_train_gives_the_same_artifact_for_the_same_rows(untrained: Toy) -> None:
    first, second = trained(untrained), trained(untrained)
    assert first.ref.sha256 == second.ref.sha256
    assert (first.rows, first.metrics) == (second.rows, second.metrics) == (TRAIN_NIGHTS * ROWS, first.metrics)


@pytest.mark.parametrize("chunk_rows", [1000, 100_000])
def test_train_gives_the_same_artifact_whatever_the_chunk_size(
    untrained: Toy, unchanged: Trained, chunk_rows: int
) -> None:
    assert trained(untrained, chunk_rows=chunk_rows).ref.sha256 == unchanged.ref.sha256


def test_train_gives_another_artifact_for_other_rows(untrained: Toy, unchanged: Trained) -> None:
    execute(untrained.source, f"update events set x = 9 where id = 0 and at < '{FIRST + DAY}'")
    assert trained(untrained).ref.sha256 != unchanged.ref.sha256


def test_train_does_not_look_at_rows_at_or_after_until(untrained: Toy, unchanged: Trained) -> None:
    """All rows and labels from ``until`` on are poisoned, and one more lies exactly there; the artifact is the same."""
    poison = f"x = x * 1000, kind = 'poison', y = not y where at >= '{UNTIL}'"
    execute(untrained.source, f"update events set {poison}")
    execute(untrained.source, f"insert into events values ('{UNTIL} 00:00:00Z', 999, 49, 'poison', true)")
    second = trained(untrained)
    assert (second.ref.sha256, second.metrics) == (unchanged.ref.sha256, unchanged.metrics)
    execute(untrained.source, "delete from events where at >= '2024-01-07'")
    assert trained(untrained).ref.sha256 == unchanged.ref.sha256


def test_train_does_not_look_at_rows_before_since(untrained: Toy) -> None:
    window = Nights(FIRST + 2 * DAY, UNTIL)
    first = trained(untrained, window)
    assert first.rows == (TRAIN_NIGHTS - 2) * ROWS
    execute(untrained.source, f"update events set x = x * 1000, kind = 'poison', y = not y where at < '{window.first}'")
    assert trained(untrained, window).ref.sha256 == first.ref.sha256


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu"])
def test_window_is_half_open_to_the_microsecond_in_the_jobs_timezone(untrained: Toy, zone: str) -> None:
    window = Nights(FIRST + DAY, UNTIL - DAY)
    interval = window.interval(zone)
    tick = timedelta(microseconds=1)
    moments = [interval.start - tick, interval.start, interval.end - tick, interval.end]
    for number, moment in enumerate(moments):
        execute(untrained.source, f"insert into events values ('{moment.isoformat()}', {1000 + number}, 0, 'a', true)")
    done = trained(
        untrained,
        window,
        pipeline="tests.support.pipelines:build_spy",
        features={"at": {"type": "datetime"}, **CLEAN},
        schedule={"timezone": zone, "first_night": FIRST},
    )
    spy = pipeline_of(untrained, done)
    assert (spy.first_, spy.last_, spy.rows_) == (pd.Timestamp(moments[1]), pd.Timestamp(moments[2]), done.rows)


def test_quarantined_rows_are_not_trained_on(untrained: Toy) -> None:
    execute(untrained.source, f"update events set x = -99 where id < 3 and at < '{FIRST + DAY}'")
    execute(
        untrained.source, f"update events set kind = null where id = 4 and at >= '{UNTIL - DAY}' and at < '{UNTIL}'"
    )
    add(untrained.source, events(FIRST).iloc[[50]])
    write_labels(untrained, f"{LABELS} group by at, id, y")
    dirty = trained(untrained)
    assert dirty.rows == TRAIN_NIGHTS * ROWS - 3 - 1 - 1
    gone = events(FIRST).iloc[50]
    execute(untrained.source, "delete from events where x = -99 or kind is null")
    execute(untrained.source, f"delete from events where at = '{gone['at'].isoformat()}' and id = {gone['id']}")
    clean = trained(untrained)
    assert (clean.rows, clean.ref.sha256) == (dirty.rows, dirty.ref.sha256)


def test_rows_without_a_label_are_not_trained_on(untrained: Toy) -> None:
    write_labels(untrained, "select at, id, y from events where at >= :interval_start and at < :interval_end")
    execute(untrained.source, f"update events set y = null where id < 10 and at < '{FIRST + DAY}'")
    unlabelled = trained(untrained)
    assert unlabelled.rows == TRAIN_NIGHTS * ROWS - 10
    execute(untrained.source, "delete from events where y is null")
    assert trained(untrained).ref.sha256 == unlabelled.ref.sha256


def test_labels_of_rows_that_features_do_not_have_do_no_harm(untrained: Toy, unchanged: Trained) -> None:
    write_labels(
        untrained,
        """select at, id, y from events where at >= :interval_start and at < :interval_end
        union all select at, id + 100000, not y from events where at >= :interval_start and at < :interval_end""",
    )
    assert trained(untrained).ref.sha256 == unchanged.ref.sha256


def test_labelled_rows_come_in_key_order_with_the_label_last(untrained: Toy) -> None:
    rows = labelled_rows(untrained.work, WINDOW)
    assert rows.schema.names == [*untrained.job.columns, "nightshift_label"]
    keys = list(zip(rows.column("at").to_pylist(), rows.column("id").to_pylist(), strict=True))
    assert keys == sorted(keys)
    assert len(keys) == TRAIN_NIGHTS * ROWS
    truth = pd.concat([events(FIRST + n * DAY) for n in range(TRAIN_NIGHTS)]).sort_values(["at", "id"])
    assert rows.column("nightshift_label").to_pylist() == truth["y"].tolist()


def test_job_without_time_column_is_read_night_by_night(untrained: Toy) -> None:
    """Its keys come again every night; each night's rows get that night's labels."""
    changes = {"time_column": None, "key": {"id": "int"}}
    rows = labelled_rows(Workspace(untrained.stores, untrained.change(**changes)), WINDOW)
    assert rows.num_rows == TRAIN_NIGHTS * ROWS
    assert rows.column("id").to_pylist() == list(range(ROWS)) * TRAIN_NIGHTS
    truth = pd.concat([events(FIRST + n * DAY) for n in range(TRAIN_NIGHTS)])
    assert rows.column("nightshift_label").to_pylist() == truth["y"].tolist()
    assert trained(untrained).metrics == pytest.approx(trained(untrained, key={"at": "datetime", "id": "int"}).metrics)


# ---------------------------------------------------------------- metrics


def test_holdout_metrics_are_of_a_pipeline_that_never_saw_the_holdout(untrained: Toy) -> None:
    done = trained(untrained)
    split = UNTIL - 2 * DAY
    halves = Nights(FIRST, split), Nights(split, UNTIL)
    early, late = (labelled_rows(untrained.work, nights) for nights in halves)
    targets = [np.array(part.column("nightshift_label").to_pylist(), dtype=int) for part in (early, late)]
    honest = build_pipeline().fit(to_frame(early, untrained.job), targets[0])
    chances = honest.predict_proba(to_frame(late, untrained.job))
    assert done.metrics == {
        "holdout_log_loss": pytest.approx(metrics.log_loss(targets[1], chances), abs=1e-12),
        "holdout_auc": pytest.approx(metrics.roc_auc_score(targets[1], chances[:, 1]), abs=1e-12),
    }
    assert untrained.stores.registry.facts(done.ref).metrics == done.metrics


def test_holdout_of_one_class_has_a_log_loss_only(untrained: Toy) -> None:
    execute(untrained.source, f"update events set y = true where at >= '{UNTIL - 2 * DAY}'")
    assert sorted(trained(untrained).metrics) == ["holdout_log_loss"]


def test_holdout_metrics_of_a_multiclass_job(untrained: Toy) -> None:
    label_type(untrained, "text", "case when y then 'won' when x > 0 then 'tied' else 'lost' end")
    done = trained(untrained, task="multiclass", label={"column": "y", "classes": ["won", "tied", "lost"]})
    assert sorted(done.metrics) == ["holdout_accuracy", "holdout_log_loss"]
    assert 0.5 < done.metrics["holdout_accuracy"] <= 1


def test_holdout_metrics_of_a_regression_job(untrained: Toy) -> None:
    label_type(untrained, "double precision", "coalesce(x, 0) * 3 + case when y then 1 else 0 end")
    features = {"x": {"type": "float", "nullable": True}, "kind": {"type": "category"}}
    done = trained(untrained, task="regression", pipeline="tests.support.pipelines:build_linear", features=features)
    assert sorted(done.metrics) == ["holdout_mae", "holdout_rmse"]
    assert 0 < done.metrics["holdout_mae"] <= done.metrics["holdout_rmse"] < 1


def test_regression_labels_that_are_no_number_are_no_labels(untrained: Toy) -> None:
    label_type(
        untrained, "double precision", "case id when 5 then 'NaN' when 6 then 'Infinity' else 1.5 end::double precision"
    )
    done = trained(untrained, task="regression", pipeline="tests.support.pipelines:build_linear")
    assert done.rows == TRAIN_NIGHTS * (ROWS - 2)


@pytest.mark.parametrize("nights", [1, 2])
def test_window_no_longer_than_the_holdout_gives_a_model_without_metrics(untrained: Toy, nights: int) -> None:
    done = trained(untrained, Nights(FIRST, FIRST + nights * DAY))
    assert (done.rows, done.metrics) == (nights * ROWS, {})
    assert pipeline_of(untrained, done) is not None


def test_early_nights_of_one_class_give_a_model_without_metrics(untrained: Toy) -> None:
    execute(untrained.source, f"update events set y = true where at < '{UNTIL - 2 * DAY}'")
    assert trained(untrained).metrics == {}


# ---------------------------------------------------------------- what cannot give a model


def test_train_refuses_too_few_rows_and_registers_nothing(untrained: Toy) -> None:
    with pytest.raises(
        TrainingDataError, match=r"found 1200 labelled rows.*training\.min_rows, 1201.*widen the window"
    ):
        trained(untrained, training={"min_rows": TRAIN_NIGHTS * ROWS + 1})
    assert untrained.stores.registry.versions(untrained.job.name) == []


def test_train_refuses_a_window_without_rows(untrained: Toy) -> None:
    with pytest.raises(TrainingDataError, match="found 0 labelled rows that pass the contract"):
        trained(untrained, Nights(date(2025, 1, 1), date(2025, 2, 1)))


@pytest.mark.parametrize("until", [FIRST, FIRST - DAY])
def test_train_refuses_a_window_that_ends_before_it_begins(untrained: Toy, until: date) -> None:
    for changes in ({}, {"time_column": None}):
        with pytest.raises(NightError, match=f"first night {FIRST}, until {until}"):
            trained(untrained, Nights(FIRST, until), **changes)


def test_train_refuses_one_class_only(untrained: Toy) -> None:
    execute(untrained.source, "update events set y = true")
    with pytest.raises(TrainingDataError, match=r"found classes \[True\]; expected each of \[False, True\]"):
        trained(untrained)


@pytest.mark.parametrize(("classes", "found"), [(["a", "b", "c", "d"], "'d'"), (["a", "b", "z"], "'c'")])
def test_train_refuses_other_classes_than_the_job_declares(untrained: Toy, classes: list[str], found: str) -> None:
    label_type(untrained, "text", "kind")
    with pytest.raises(TrainingDataError, match=r"found classes \['a', 'b', 'c'\]; expected each of ") as caught:
        trained(untrained, task="multiclass", label={"column": "y", "classes": classes})
    assert found in str(caught.value)


def test_train_refuses_labels_with_a_key_twice(untrained: Toy) -> None:
    write_labels(
        untrained,
        """select at, id, y from events where at >= :interval_start and at < :interval_end
        union all select at, id, not y from events where at >= :interval_start and at < :interval_end and id < 2""",
    )
    with pytest.raises(
        TrainingDataError, match=rf"sql/{untrained.job.name}/labels\.sql: found \d+ keys with several outcomes"
    ) as caught:
        trained(untrained)
    assert f"found {TRAIN_NIGHTS * 2} keys" in str(caught.value)


def test_train_refuses_labels_of_another_type_with_an_example(untrained: Toy) -> None:
    label_type(untrained, "text", "case when y then 'yes' else 'no' end")
    with pytest.raises(
        TrainingDataError, match=r"labels\.sql: column y: found \d+ values such as '(yes|no)'.*type bool"
    ):
        trained(untrained)
    label_type(untrained, "double precision", "0.5")
    with pytest.raises(ContractError, match=r"column 'y': wrong type.*cast y in the SQL"):
        trained(untrained)


def test_train_names_a_label_column_that_is_missing(untrained: Toy) -> None:
    with pytest.raises(ContractError, match=r"labels\.sql: missing columns \['outcome'\]"):
        trained(untrained, label={"column": "outcome"})


def test_train_registers_nothing_that_cannot_score_what_the_contract_lets_through(untrained: Toy) -> None:
    """x may be null and the pipeline cannot take a null: the golden rows find out."""
    execute(untrained.source, "update events set x = 0 where x is null")
    execute(untrained.source, "update events set x = 0 where x = 'NaN'")
    features = {"x": {"type": "float", "nullable": True}}
    with pytest.raises(PredictionError, match="NaN"):
        trained(untrained, pipeline="tests.support.pipelines:build_classifier", features=features)
    assert untrained.stores.registry.versions(untrained.job.name) == []


def test_progress_is_told_stages_and_rows(untrained: Toy) -> None:
    told: list[tuple[str, int]] = []
    train(untrained.work, WINDOW, lambda stage, rows: told.append((stage, rows)))
    assert list(dict.fromkeys(stage for stage, _ in told)) == ["read", "evaluate", "fit", "reference", "register"]
    assert sum(rows for stage, rows in told if stage == "read") == TRAIN_NIGHTS * ROWS


def test_time_of_training_is_the_clocks(untrained: Toy) -> None:
    moment = datetime(2031, 2, 3, 4, 5, tzinfo=UTC)
    stores = type(untrained.stores)(**{**vars(untrained.stores), "clock": lambda: moment})
    facts = stores.registry.facts(train(Workspace(stores, untrained.job), WINDOW).ref)
    assert facts.trained_at == moment
