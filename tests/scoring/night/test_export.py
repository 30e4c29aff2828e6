"""Published nights in one file: the rows of the view, whole or not at all, as CSV readers expect them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scoring.errors import LakeFileMissing, Permanent, RunMissing
from scoring.interval import Nights
from scoring.night.export import export_csv, export_file, published_runs
from scoring.night.publish import unpublish
from scoring.rows.prediction import prediction_schema
from scoring.settings import Settings
from scoring.stores import RunFolder
from scoring.stores.warehouse import ledger
from scoring.stores.workspace import Workspace
from scoring.upkeep import apply, plan
from tests.conftest import Toy
from tests.support.living import DAY, nights, score
from tests.support.shell import Shell, done, refused, shell_of
from tests.support.toy import NIGHT, ROWS, write_job

COLUMNS = ["night", "at", "id", "prediction", "probability", "model_version", "run_id", "scored_at"]


@pytest.fixture
def scored(toy: Toy) -> Toy:
    """A job with three published nights."""
    for night in nights(3):
        score(toy, night)
    return toy


@pytest.fixture
def shell(
    scored: Toy, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    monkeypatch.chdir(scored.folder)
    with shell_of(settings, monkeypatch, capsys) as run:
        yield run


def in_view(toy: Toy, where: str = "true") -> list[tuple[Any, ...]]:
    columns = ", ".join(COLUMNS)
    return toy.stores.warehouse.query(
        f"select {columns} from {toy.job.name}_predictions where {where} order by 1, 2, 3"
    )[1]


def span(first: int = 0, last: int = 2) -> tuple[object, ...]:
    return "--from", NIGHT + first * DAY, "--to", NIGHT + last * DAY


def test_parquet_has_the_rows_and_columns_of_the_view(scored: Toy, shell: Shell) -> None:
    done(shell("export", scored.job.name, *span()))
    path = scored.folder / f"{scored.job.name}_{NIGHT}_{NIGHT + 2 * DAY}.parquet"
    table = pq.read_table(path, page_checksum_verification=True)
    assert table.schema.names == COLUMNS
    assert table.schema.field("at").type == pa.timestamp("us", "UTC")
    rows = sorted(tuple(row.values()) for row in table.to_pylist())
    assert rows == in_view(scored)
    assert len(rows) == 3 * ROWS
    assert pq.ParquetFile(path).num_row_groups == 1  # although a chunk has 64 rows
    assert [found.name for found in path.parent.glob(".*")] == []


def test_csv_is_rfc_4180_with_times_in_utc(scored: Toy, shell: Shell) -> None:
    printed = done(shell("export", scored.job.name, *span(0, 1), "--format", "csv", "--output", "-"))
    done(shell("export", scored.job.name, *span(0, 1), "--output", "two.csv"))
    written = Path("two.csv").read_bytes().decode()
    assert written.endswith("\r\n")
    assert written.count("\r\n") == written.count("\n") == 2 * ROWS + 1
    assert list(csv.reader(io.StringIO(printed))) == list(csv.reader(io.StringIO(written, newline="")))
    header, *lines = csv.reader(io.StringIO(written, newline=""))
    assert header == COLUMNS
    rows = [
        (
            date.fromisoformat(night),
            datetime.fromisoformat(at),
            int(key),
            {"true": True, "false": False}[prediction],
            float(probability),
            int(version),
            run_id,
            datetime.fromisoformat(scored_at),
        )
        for night, at, key, prediction, probability, version, run_id, scored_at in lines
    ]
    assert sorted(rows) == in_view(scored, f"night < '{NIGHT + 2 * DAY}'")
    assert {row[1].utcoffset() for row in rows} == {timedelta(0)}
    assert "+00:00" in lines[0][1]


def test_text_of_a_key_is_quoted_and_columns_are_called_as_in_the_view(scored: Toy) -> None:
    words = ["plain", "a, b", 'say "x"', "two\nlines", "Größe", ""]
    job = write_job(scored.folder, "words", key={"Word of the Day": "string"}, time_column=None)
    run = replace(published_runs(scored.work, Nights.of(NIGHT)).runs[0], job="words", chunks=1)
    batch = pa.RecordBatch.from_arrays(
        [pa.array(words), pa.array([True] * len(words)), pa.array([0.1] * len(words))], schema=prediction_schema(job)
    )
    work = Workspace(scored.stores, job)
    work.lake.write(RunFolder(work.lake, run).part("predictions", 0), batch.schema, [batch], {})
    stream = io.StringIO(newline="")
    assert export_csv(work, [run], stream) == len(words)
    header, *lines = csv.reader(io.StringIO(stream.getvalue(), newline=""))
    assert header == ["night", "word_of_the_day", *COLUMNS[3:]]
    assert [line[1] for line in lines] == words
    assert {line[3] for line in lines} == {"0.1"}


def test_missing_night_is_named_and_the_others_are_written(scored: Toy, shell: Shell) -> None:
    unpublish(scored.work, NIGHT + DAY, "wrong")
    said = shell("export", scored.job.name, *span(0, 4), "--output", "some.parquet")
    assert said.code == 1
    assert f"missing: {NIGHT + DAY}, {NIGHT + 3 * DAY} to {NIGHT + 4 * DAY}" in said.err
    assert "keep_nights" not in said.err
    assert f"some.parquet: {2 * ROWS:,} rows of 2 nights" in said.err
    assert pq.read_table("some.parquet").num_rows == 2 * ROWS


def test_nights_that_keep_nights_took_back_are_said_to_be_so(scored: Toy, shell: Shell) -> None:
    kept = scored.job.model_copy(update={"keep_nights": 1})  # fewer than a job file may say
    work = Workspace(scored.stores, kept)
    apply(work, plan(work, scored.stores.settings.retention))
    said = shell("export", scored.job.name, *span(0, 3))
    assert said.code == 1
    assert f"missing: {NIGHT} to {NIGHT + DAY}, {NIGHT + 3 * DAY}\n" in said.err
    assert f"of them keep_nights took back: {NIGHT} to {NIGHT + DAY}\n" in said.err


def test_file_with_the_ending_of_another_format_is_refused(scored: Toy, shell: Shell) -> None:
    command = ("export", scored.job.name, *span(), "--output", "r.xlsx")
    assert "found the ending .xlsx; expected .parquet or .csv. Next: " in refused(shell(*command), "Permanent")
    assert not Path("r.xlsx").exists()
    done(shell(*command, "--format", "csv"))
    assert Path("r.xlsx").read_text().startswith("night,")


def test_night_that_was_skipped_is_not_missing(scored: Toy, shell: Shell) -> None:
    scored.change(on_empty="skip")
    done_or_skipped = shell("run", scored.job.name, "--night", NIGHT + 3 * DAY)
    assert "skipped" in done_or_skipped.out
    assert shell("export", scored.job.name, *span(0, 3)).code == 0


def test_range_without_a_published_night_writes_no_file(scored: Toy, shell: Shell) -> None:
    refused(shell("export", scored.job.name, *span(5, 6), "--output", "none.csv"), "RunMissing")
    assert not Path("none.csv").exists()
    with pytest.raises(RunMissing, match="no published night"):
        published_runs(scored.work, Nights.of(NIGHT + 9 * DAY))


def test_file_that_is_there_stays_without_force(scored: Toy, shell: Shell) -> None:
    Path("mine.csv").write_text("mine")
    assert "--force replaces it" in refused(
        shell("export", scored.job.name, *span(), "--output", "mine.csv"), "Permanent"
    )
    assert Path("mine.csv").read_text() == "mine"
    done(shell("export", scored.job.name, *span(), "--output", "mine.csv", "--force"))
    assert Path("mine.csv").read_text().startswith("night,")
    assert "file no/such/x.csv" in refused(
        shell("export", scored.job.name, *span(), "--output", "no/such/x.csv"), "Permanent"
    )


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_export_that_breaks_midway_leaves_what_was_there(scored: Toy, tmp_path: Path, kind: Any) -> None:
    runs = published_runs(scored.work, Nights.including(NIGHT, NIGHT + 2 * DAY)).runs
    path = tmp_path / "kept"
    path.write_text("before")
    scored.stores.lake.remove(RunFolder(scored.stores.lake, runs[-1]).part("predictions", 1))
    with pytest.raises(LakeFileMissing):
        export_file(scored.work, runs, path, kind, force=True)
    assert path.read_text() == "before"
    assert [found.name for found in tmp_path.glob(".*")] == []


def test_night_that_is_scored_again_meanwhile_is_exported_as_it_was(scored: Toy, tmp_path: Path) -> None:
    runs = published_runs(scored.work, Nights.of(NIGHT)).runs
    before = in_view(scored, f"night = '{NIGHT}'")
    again = score(scored, NIGHT)
    assert export_file(scored.work, runs, tmp_path / "old.parquet", "parquet") == ROWS
    rows = sorted(tuple(row.values()) for row in pq.read_table(tmp_path / "old.parquet").to_pylist())
    assert rows == before
    assert ledger.published(scored.stores.warehouse, scored.job.name)[NIGHT] == again


def test_file_that_somebody_makes_meanwhile_is_not_replaced(scored: Toy, tmp_path: Path) -> None:
    runs = published_runs(scored.work, Nights.of(NIGHT)).runs
    path = tmp_path / "raced.csv"
    with pytest.raises(Permanent, match="it is there"):
        export_file(scored.work, runs, path, "csv", progress=lambda stage, rows: path.touch())
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "wrong", [("--format", "xlsx"), ("--format", "parquet", "--output", "-")], ids=["format", "standard output"]
)
def test_what_cannot_be_written_is_refused_by_the_command_line(
    scored: Toy, shell: Shell, wrong: tuple[str, ...]
) -> None:
    assert shell("export", scored.job.name, *span(), *wrong).code == 2
