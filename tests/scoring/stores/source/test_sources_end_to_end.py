"""Whole nights, train → run → view, from other sources and of other kinds than the toy job's."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sklearn.datasets import load_diabetes, load_wine

from scoring.job.definition import Job
from scoring.night.publish import Published
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.stores.installation import Stores
from scoring.stores.warehouse import Run, ledger
from scoring.stores.workspace import Workspace
from tests.support.pipelines import build_classifier, build_of_every_type, build_regressor
from tests.support.toy import (
    FEATURES,
    FIRST,
    LABELS,
    NIGHT,
    ROWS,
    TRAIN_NIGHTS,
    events,
    execute,
    train_champion,
    write_job,
)

pytestmark = pytest.mark.slow

DAY = timedelta(days=1)
_numbers = itertools.count()
CLASSES = ["barolo", "grignolino", "barbera"]  # as the job file says; sorted, each of them stands elsewhere
TEXT = "%Y-%m-%d %H:%M:%S"


@pytest.fixture
def lite(tmp_path: Path) -> str:
    """The URL of an empty SQLite database."""
    return f"sqlite:///{tmp_path / 'source.db'}"


@pytest.fixture
def both(stores: Stores, lite: str) -> Stores:
    """Stores that know the SQLite database as the source ``lite`` next to ``toy``, a PostgreSQL without a table."""
    execute(stores.settings.sources["toy"].get_secret_value(), "drop table events")
    sources = {**stores.settings.sources, "lite": SecretStr(lite)}
    return replace(stores, settings=stores.settings.model_copy(update={"sources": sources}))


def put(url: str, table: str, rows: pd.DataFrame, **kinds: Any) -> None:
    """Fill a new table; a SQLite one keeps moments as text and bools as 0 and 1, as SQLite does."""
    if url.startswith("sqlite"):
        rows = rows.copy()
        for name in rows.columns:
            if isinstance(kinds.get(name), sa.DateTime):
                rows[name] = [None if pd.isna(moment) else moment.strftime(TEXT) for moment in rows[name]]
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            rows.to_sql(table, connection, index=False)
            connection.commit()
        return
    engine = sa.create_engine(url)
    dtype: Any = kinds
    rows.to_sql(table, engine, index=False, dtype=dtype)
    engine.dispose()


def job_of(folder: Path, kind: str, sql: tuple[str, str], **changes: Any) -> Job:
    """Write a job with its ``features.sql`` and ``labels.sql``; its name begins with ``kind``."""
    job = write_job(folder, f"{kind}_{next(_numbers)}", **changes)
    for name, text in zip(("features", "labels"), sql, strict=True):
        (folder / "sql" / job.name / f"{name}.sql").write_text(text)
    return job


def url_of(stores: Stores, source: str) -> str:
    return stores.settings.sources[source].get_secret_value()


def run(work: Workspace, night: date = NIGHT) -> Published:
    return run_night(work, NightRequest(night, datetime.now(UTC), "test"))


def scored(work: Workspace, night: date = NIGHT) -> Run:
    done = run(work, night)
    assert done.status == "published"
    return ledger.get(work.warehouse, done.run_id)


def view(work: Workspace, night: date = NIGHT) -> pd.DataFrame:
    columns, rows = work.warehouse.query(f"select * from {work.job.name}_predictions where night = '{night}'")
    return pd.DataFrame(rows, columns=columns).sort_values(list(work.job.key)).reset_index(drop=True)


# ---------------------------------------------------------------- one job, two databases


def test_night_from_sqlite_is_the_night_from_postgresql(both: Stores, tmp_path: Path) -> None:
    """The same events in both: same artifact, same feature snapshot, same predictions, in the same view."""
    rows = pd.concat([events(FIRST + n * DAY) for n in range(TRAIN_NIGHTS + 2)])
    runs, jobs = [], []
    for source in ("toy", "lite"):
        put(url_of(both, source), "events", rows, at=sa.DateTime(timezone=True))
        jobs.append(job_of(tmp_path, f"events_{source}", (FEATURES, LABELS), source=source))
        trained = train_champion(Workspace(both, jobs[-1]))
        runs.append((trained.ref.sha256, trained.metrics, scored(Workspace(both, jobs[-1]))))
    (sha_one, metrics_one, one), (sha_two, metrics_two, two) = runs
    assert (one.rows_extracted, one.rows_quarantined) == (ROWS, 0)
    assert (two.rows_extracted, two.rows_quarantined, two.chunks) == (ROWS, 0, one.chunks)
    assert (sha_one, metrics_one) == (sha_two, metrics_two)
    assert one.snapshot_hash == two.snapshot_hash
    assert one.predictions_hash == two.predictions_hash
    names = ["at", "id", "night", "prediction", "probability"]
    pd.testing.assert_frame_equal(
        view(Workspace(both, jobs[0]))[names], view(Workspace(both, jobs[1]))[names], check_exact=True
    )


def test_night_from_parquet_is_the_night_from_postgresql(both: Stores, tmp_path: Path) -> None:
    """The same events as a file a day below a root that DuckDB reads, their times in nanoseconds as pandas writes them."""
    rows = pd.concat([events(FIRST + n * DAY) for n in range(TRAIN_NIGHTS + 2)])
    put(url_of(both, "toy"), "events", rows, at=sa.DateTime(timezone=True))
    for day, part in rows.groupby(rows["at"].dt.date):
        (tmp_path / "lake" / f"day={day}").mkdir(parents=True)
        part.astype({"at": "datetime64[ns, UTC]"}).to_parquet(tmp_path / "lake" / f"day={day}" / "events.parquet")
    lake = SecretStr(f"duckdb:///:memory:?root={tmp_path / 'lake'}")
    stores = replace(
        both, settings=both.settings.model_copy(update={"sources": {**both.settings.sources, "lake": lake}})
    )
    files = "from read_parquet('{root}/*/*.parquet', hive_partitioning = true)"
    of_lake = (
        f"""select "at", id, x, kind {files} where day >= (:interval_start)::date - 1 and "at" >= :interval_start
        and "at" < :interval_end""",
        f"""select "at", id, y {files} where "at" >= :interval_start and "at" < :interval_end""",
    )
    runs = []
    for source, sql in (("toy", (FEATURES, LABELS)), ("lake", of_lake)):
        work = Workspace(stores, job_of(tmp_path, f"events_{source}", sql, source=source, chunk_rows=70))
        trained = train_champion(work)
        runs.append((trained.ref.sha256, trained.metrics, scored(work)))
    (sha_one, metrics_one, one), (sha_two, metrics_two, two) = runs
    assert (two.rows_extracted, two.rows_quarantined, two.chunks) == (ROWS, 0, one.chunks)
    assert (sha_one, metrics_one) == (sha_two, metrics_two)
    assert (one.snapshot_hash, one.predictions_hash) == (two.snapshot_hash, two.predictions_hash)


# ---------------------------------------------------------------- other tasks


def over_nights(rows: pd.DataFrame, nights: int) -> pd.DataFrame:
    """Return the rows, shuffled (seed 0), with an id and a moment of one of the nights from ``FIRST`` on."""
    shuffled = rows.iloc[np.random.default_rng(0).permutation(len(rows))].reset_index(drop=True)
    start = datetime.combine(FIRST, datetime.min.time(), UTC)
    at = [start + DAY * (n * nights // len(rows)) + timedelta(minutes=n % 600) for n in range(len(rows))]
    return shuffled.assign(id=np.arange(len(rows)), at=at)


def between(columns: list[str], table: str) -> str:
    return f"select {', '.join(columns)} from {table} where at >= :interval_start and at < :interval_end"


def numbers(data: Any) -> list[str]:
    return [name.replace("/", "_").lower() for name in data.feature_names]


def test_multiclass_night_gives_a_probability_for_each_class_in_the_order_of_the_job_file(
    both: Stores, tmp_path: Path
) -> None:
    data = load_wine()
    names = numbers(data)
    wines = pd.DataFrame(data.data, columns=names).assign(
        cultivar=np.array(["barolo", "grignolino", "barbera"])[data.target]
    )
    wines = over_nights(wines, TRAIN_NIGHTS + 3)
    put(url_of(both, "toy"), "wines", wines, at=sa.DateTime(timezone=True))
    job = job_of(
        tmp_path,
        "wine",
        (between(["at", "id", *names], "wines"), between(["at", "id", "cultivar"], "wines")),
        task="multiclass",
        label={"column": "cultivar", "classes": CLASSES},
        chunk_rows=7,
        features={name: {"type": "float", "min": 0} for name in names},
        pipeline="tests.support.pipelines:build_classifier",
    )
    trained = train_champion(Workspace(both, job))
    assert trained.metrics["holdout_accuracy"] > 0.9
    run(Workspace(both, job))
    shown = view(Workspace(both, job))
    columns = [f"probability_{name}" for name in CLASSES]
    assert list(shown)[3:7] == ["prediction", *columns]
    chances = shown[columns].to_numpy()
    assert np.allclose(chances.sum(axis=1), 1, rtol=0, atol=1e-12)
    assert shown["prediction"].tolist() == [CLASSES[n] for n in chances.argmax(axis=1)]
    until = datetime.combine(NIGHT, datetime.min.time(), UTC)
    past, night = wines[wines["at"] < until], wines[(wines["at"] >= until) & (wines["at"] < until + DAY)]
    direct = build_classifier().fit(past[names], past["cultivar"])
    expected = pd.DataFrame(
        direct.predict_proba(night[names]), columns=[f"probability_{name}" for name in direct.classes_]
    )
    assert shown["id"].tolist() == night["id"].tolist()
    assert len(night) > 15
    assert np.allclose(chances, expected[columns], rtol=0, atol=1e-9)
    assert (shown["prediction"].to_numpy() == night["cultivar"].to_numpy()).mean() > 0.9
    lake = pq.read_table(both.lake.current(job.name, NIGHT)).to_pandas().sort_values("id")
    assert np.array_equal(lake[columns].to_numpy(), chances)


def test_regression_night_gives_the_predicted_value(both: Stores, tmp_path: Path) -> None:
    data = load_diabetes()
    names = numbers(data)
    patients = over_nights(pd.DataFrame(data.data, columns=names).assign(progression=data.target), TRAIN_NIGHTS + 2)
    put(url_of(both, "toy"), "patients", patients, at=sa.DateTime(timezone=True))
    job = job_of(
        tmp_path,
        "diabetes",
        (between(["at", "id", *names], "patients"), between(["at", "id", "progression"], "patients")),
        task="regression",
        label={"column": "progression"},
        features={name: {"type": "float"} for name in names},
        pipeline="tests.support.pipelines:build_regressor",
    )
    trained = train_champion(Workspace(both, job))
    assert trained.metrics["holdout_mae"] < 55
    run(Workspace(both, job))
    shown = view(Workspace(both, job))
    assert list(shown) == ["at", "id", "night", "prediction", "model_version", "run_id", "scored_at"]
    until = datetime.combine(NIGHT, datetime.min.time(), UTC)
    past, night = patients[patients["at"] < until], patients[(patients["at"] >= until) & (patients["at"] < until + DAY)]
    direct = build_regressor().fit(past[names], past["progression"]).predict(night[names])
    assert shown["id"].tolist() == night["id"].tolist()
    assert len(night) > 50
    assert np.allclose(shown["prediction"], direct, rtol=0, atol=1e-9)


# ---------------------------------------------------------------- other keys and types

SHOPS = ["", "A", "a", "b b", "B", 'O\'Hara "x"', "é", "ß", "_", "日本"]


def test_job_without_time_column_is_scored_with_a_key_of_several_texts(both: Stores, tmp_path: Path) -> None:
    """The keys come again every night: the night is what tells the rows apart."""
    random = np.random.default_rng(0)
    parts = []
    for n in range(TRAIN_NIGHTS + 2):
        pairs = [(shop, article) for shop in SHOPS for article in SHOPS[::-1]]
        x = random.normal(size=len(pairs))
        parts.append(
            pd.DataFrame(pairs, columns=["shop", "article"]).assign(
                day=FIRST + n * DAY, x=x, y=x + random.normal(size=100) > 0
            )
        )
    stock = pd.concat(parts)
    where = "from stock where day >= cast(:interval_start as date) and day < cast(:interval_end as date)"
    put(url_of(both, "toy"), "stock", stock, day=sa.Date())
    job = job_of(
        tmp_path,
        "stock",
        (f"select shop, article, x {where}", f"select shop, article, y {where}"),
        key={"shop": "string", "article": "string"},
        time_column=None,
        features={"x": {"type": "float"}},
        chunk_rows=9,
        pipeline="tests.support.pipelines:build_classifier",
    )
    trained = train_champion(Workspace(both, job))
    assert trained.rows == TRAIN_NIGHTS * 100
    nights = [NIGHT, NIGHT + DAY]
    runs = [scored(Workspace(both, job), night) for night in nights]
    assert [(one.rows_extracted, one.rows_quarantined, one.chunks) for one in runs] == [(100, 0, 12)] * 2
    past = stock[stock["day"] < NIGHT]
    direct = build_classifier().fit(past[["x"]], past["y"].astype(int))
    for night in nights:
        keys = list(job.key)
        rows = stock[stock["day"] == night].sort_values(keys)
        shown = view(Workspace(both, job), night)
        assert shown[keys].to_numpy().tolist() == rows[keys].to_numpy().tolist()
        assert np.allclose(shown["probability"], direct.predict_proba(rows[["x"]])[:, 1], rtol=0, atol=1e-9)


def of_every_type(rows: int = 60) -> pd.DataFrame:
    """Return rows for eight nights with a bool, an int with nulls, a category with nulls, and a datetime with nulls."""
    random = np.random.default_rng(1)
    parts = []
    for n in range(TRAIN_NIGHTS + 2):
        start = datetime.combine(FIRST + n * DAY, datetime.min.time(), UTC)
        hours = random.integers(0, 24, rows)
        flag = random.random(rows) < 0.5
        part = {
            "day": [FIRST + n * DAY] * rows,
            "id": np.arange(rows),
            "flag": flag,
            "count": [None if random.random() < 0.2 else int(value) for value in random.integers(-5, 2**40, rows)],
            "kind": [None if random.random() < 0.2 else str(value) for value in random.choice(["u", "v", "w"], rows)],
            "seen_at": [None if random.random() < 0.2 else start + timedelta(hours=int(hour)) for hour in hours],
            "y": (hours > 11) ^ (random.random(rows) < 0.2) ^ (flag & (random.random(rows) < 0.3)),
        }
        parts.append(pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in part.items()}))
    return pd.concat(parts, ignore_index=True).astype({"flag": bool, "y": bool})


def test_features_of_every_type_give_the_same_from_both_databases(both: Stores, tmp_path: Path) -> None:
    rows = of_every_type()
    kinds = {"day": sa.Date(), "count": sa.BigInteger(), "kind": sa.Text(), "seen_at": sa.DateTime(timezone=True)}
    runs = {}
    for source, cast in (("toy", "cast({} as date)"), ("lite", "date({})")):
        put(
            url_of(both, source),
            "things",
            rows.assign(day=rows["day"].astype(str)) if source == "lite" else rows,
            **kinds,
        )
        where = f"from things where day >= {cast.format(':interval_start')} and day < {cast.format(':interval_end')}"
        features = {
            "flag": {"type": "bool"},
            "count": {"type": "int", "nullable": True, "min": -5},
            "kind": {"type": "category", "nullable": True},
            "seen_at": {"type": "datetime", "nullable": True},
        }
        job = job_of(
            tmp_path,
            f"things_{source}",
            (f"select day, id, flag, count, kind, seen_at {where}", f"select day, id, y {where}"),
            source=source,
            key={"day": "date", "id": "int"},
            time_column=None,
            features=features,
            pipeline="tests.support.pipelines:build_of_every_type",
            chunk_rows=7,
        )
        train_champion(Workspace(both, job))
        runs[source] = scored(Workspace(both, job))
        assert (runs[source].rows_extracted, runs[source].rows_quarantined) == (60, 0)
    assert runs["toy"].snapshot_hash == runs["lite"].snapshot_hash
    assert runs["toy"].predictions_hash == runs["lite"].predictions_hash
    shown = view(Workspace(both, job))
    assert shown["day"].tolist() == [NIGHT] * 60
    frame = rows.assign(
        flag=rows["flag"].astype(float),
        count=rows["count"].astype(float),
        kind=rows["kind"].where(rows["kind"].notna(), np.nan),
        seen_at=pd.to_datetime(rows["seen_at"], utc=True),
    )
    past, night = frame[frame["day"] < NIGHT], frame[frame["day"] == NIGHT]
    names = list(job.features)
    direct = build_of_every_type().fit(past[names], past["y"].astype(int))
    assert np.allclose(shown["probability"], direct.predict_proba(night[names])[:, 1], rtol=0, atol=1e-9)
    assert shown["probability"].std() > 0.05
