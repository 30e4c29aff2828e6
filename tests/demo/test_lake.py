"""The flights as Parquet files, and the same night from there as from PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from demo.lake import ReadNight, export, from_folder, require_same
from scoring.errors import NightshiftError
from scoring.interval import DataInterval, Nights
from scoring.job import find_job
from scoring.rows import RowsDigest
from scoring.settings import HOME, Settings
from scoring.stores import Workspace, embedded, feature_batches, open_stores, read_labels

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def places(data_dir, template, flights, tmp_path_factory) -> tuple[Workspace, Workspace, Path]:
    """The job with PostgreSQL as its source, the same with the folder, and the folder, whose path has odd letters."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("demo"),
        sources={"demo": SecretStr(embedded.url(data_dir / "postgres", flights))},
        warehouse_url=SecretStr(embedded.url(data_dir / "postgres", template)),
        registry_url=SecretStr(embedded.url(data_dir / "postgres", "registry")),
    )
    work = Workspace(open_stores(settings, lambda: datetime.now(UTC)), find_job(HOME / "jobs", "flight_delay"))
    folder = tmp_path_factory.mktemp("lake") / "a lake & 100%+ it's"
    export(work.stores.source_url(work.job), folder, lambda table: None)
    return work, from_folder(work, folder), folder


def test_the_flights_have_a_file_a_night(places):
    _, _, folder = places
    files = sorted(folder.glob("flights/night=*/*.parquet"))
    assert len(files) == 365
    assert sum(pq.read_metadata(file).num_rows for file in files) == 336_776
    assert {file.name for file in folder.iterdir()} == {"flights", "planes.parquet", "weather.parquet"}


@pytest.mark.parametrize("night", [date(2013, 4, 1), date(2013, 3, 10), date(2013, 11, 3), date(2013, 12, 31)])
def test_a_night_from_parquet_has_the_snapshot_hash_of_the_night_from_postgresql(places, night):
    def read(work: Workspace) -> tuple[int, int, dict[str, int], str]:
        digest = RowsDigest()
        reasons: dict[str, int] = {}
        with feature_batches(replace(work, job=job), DataInterval.of_night(night, "America/New_York")) as batches:
            parts = list(batches)
        for _, part in parts:
            digest.add(part.accepted)
            reasons |= part.reasons
        return sum(batch.num_rows for batch, _ in parts), len(parts), reasons, digest.hexdigest()

    job = places[0].job.model_copy(update={"chunk_rows": 100})
    from_postgresql, from_parquet = (read(work) for work in places[:2])
    assert from_parquet == from_postgresql
    assert from_parquet[0] > 600


def test_labels_from_parquet_are_those_from_postgresql(places):
    nights = Nights(date(2013, 4, 1), date(2013, 4, 4))
    first, second = (read_labels(work, nights).sort_by("carrier") for work in places[:2])
    keys = [(name, "ascending") for name in first.column_names]
    assert first.sort_by(keys).equals(second.sort_by(keys))
    assert first.num_rows > 2_000


def test_an_export_takes_the_place_of_the_one_before(places):
    work, _, folder = places
    (folder / "flights" / "night=2013-04-01" / "stale.parquet").write_bytes(b"")
    export(work.stores.source_url(work.job), folder, lambda table: None)
    assert len(list(folder.glob("flights/night=2013-04-01/*"))) == 1
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("change", [{"snapshot_hash": "x"}, {"predictions_hash": "x"}, {"rows": 2}])
def test_nights_that_differ_are_an_error(change):
    night = ReadNight("PostgreSQL", 1, 1, "a", "b", 0.1)
    require_same(night, replace(night, seconds=2))
    with pytest.raises(NightshiftError, match="the night from PostgreSQL"):
        require_same(night, replace(night, **change))
