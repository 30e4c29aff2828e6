"""The targets and the page, from made-up results of every part."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from bench.parts import PARTS
from bench.speed_page import BEGIN, END, PAGE, written
from bench.targets import hashes, targets
from tests.support.docs import LINK

ABOUT = {
    "date": "2026-11-26T16:30:00Z",
    "code_version": "0.1.0+abc",
    "rows": 1_000_000,
    "seconds": 60.0,
    "load_average": [0.1, 2.0],
    "machine": {"cpu": "a processor", "cores": 2},
}


def used(wall: float, rows: int = 1_000_000, peak: float = 900.0, **facts: Any) -> dict[str, Any]:
    """Return what a run used and what the ledger says of it."""
    usage = {
        "wall_seconds": wall,
        "cpu_seconds": 6.0,
        "postgres_cpu_seconds": 6.0,
        "peak_mib": peak,
        "own_peak_mib": 500.0,
    }
    stages = {"seconds_extract": 4.0, "seconds_score": 3.0, "seconds_publish": 2.0, "chunks": 10}
    return {**usage, **stages, "rows_extracted": rows, "predictions_hash": "a", "snapshot_hash": "s", **facts}


def bare(seconds: float) -> dict[str, Any]:
    """Return what the bare predict took: with two threads as long as said, with one twice."""
    one = {"one_thread_seconds": 2 * seconds, "one_thread_cpu_seconds": 2 * seconds}
    return {**one, "two_openmp_seconds": 1.3 * seconds, "two_chunks_seconds": seconds, "predictions_hash": "a"}


def results() -> dict[str, dict[str, Any]]:
    """Return results of all parts, in which every target is met."""
    runs = {"PostgreSQL, join": [used(8.0)], "PostgreSQL, one table": [used(5.0)], "Parquet, DuckDB": [used(3.5)]}
    peer = used(30.0, score_seconds=15.0, load_seconds=10.0)
    names = ("MLflow spark_udf, local[2]", "Ray Data map_batches", "Dask map_partitions")
    model = {"run": used(6.0), "bare": bare(9.5)}
    large = [used(8.0), used(31.0, 5_000_000), used(60.0, 10_000_000, 1_000.0)]
    nights = [{"published_seconds": seconds} for seconds in (9.0, 10.0, 30.0)]
    airflow = {
        "nights": nights,
        "backfill": {"nights": 30, "seconds": 100.0},
        "markdown": "| task | runs |\n|---|---|\n| a | 1 |",
    }
    history = {
        "years": {
            "3": {"load": {"in no order": {"wal_mib": 12.34567}}, "queries": {"one key": {"rows": 1_095, "ms": 1.5}}}
        },
        "re_runs": {"one run": 2.0},
    }
    parts: dict[str, dict[str, Any]] = {
        "core": {"runs": runs, "bare": [bare(5.0)], "naive": [used(82.0)]},
        "large": {"runs": large, "bare": [bare(25.0)]},
        "models": {"HGB-300": deepcopy(model), "logistic": model},
        "small": {"runs": [used(2.0, 10_000), used(2.1, 10_000), used(3.0, 100_000)]},
        "chunks": {"runs": [used(8.0), used(8.1)]},
        "columns": {"15": deepcopy(model), "100": deepcopy(model)},
        "peers": {"runs": [used(8.0)], "peers": dict.fromkeys(names, peer)},
        "history": history,
        "airflow": airflow,
        "sources": {"runs": {"PostgreSQL, join": [used(8.0)], "SQLite, SQLAlchemy": [used(50.0)]}},
    }
    return {name: {**ABOUT, **facts} for name, facts in parts.items()}


def verdicts(parts: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return the last cell of every target's line."""
    return {target.what: target.line()[-1] for target in targets(parts)}


def test_results_have_every_part():
    assert set(results()) == set(PARTS)


def test_every_target_is_met_when_every_ratio_is_good_enough():
    assert set(verdicts(results()).values()) == {"PASS"}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda parts: parts["core"]["runs"]["PostgreSQL, join"][0].update(wall_seconds=8.4), "join, HGB-100"),
        (lambda parts: parts["core"]["runs"]["PostgreSQL, one table"][0].update(wall_seconds=5.1), "one table"),
        (lambda parts: parts["core"]["runs"]["Parquet, DuckDB"][0].update(wall_seconds=4.0), "Parquet"),
        (lambda parts: parts["core"]["runs"]["PostgreSQL, join"][0].update(postgres_cpu_seconds=25.0), "join, CPU"),
        (lambda parts: parts["core"]["naive"][0].update(wall_seconds=79.0), "join, rows/s ÷ naive"),
        (lambda parts: parts["large"]["runs"][1].update(wall_seconds=32.0), "join, five times"),
        (lambda parts: parts["large"]["runs"][2].update(peak_mib=1_100.0), "memory"),
        (lambda parts: parts["models"]["HGB-300"]["run"].update(wall_seconds=6.5), "join, HGB-300"),
        (lambda parts: parts["peers"]["runs"][0].update(wall_seconds=10.5), "join, rows/s ÷ Ray"),
    ],
)
def test_a_ratio_that_is_not_good_enough_is_shown_as_missed(change: Any, what: str):
    parts = results()
    change(parts)
    assert any(name.startswith(what) and verdict == "**missed**" for name, verdict in verdicts(parts).items())


def test_what_was_not_measured_is_neither_met_nor_missed():
    assert set(verdicts({}).values()) == {""}
    parts = results()
    parts["peers"]["peers"]["Ray Data map_batches"] = {"left_out": "not installed"}
    assert verdicts(parts)["join, rows/s ÷ Ray Data map_batches"] == ""


def test_another_prediction_of_one_way_is_found():
    parts = results()
    assert {len(values) for values in hashes(parts).values()} == {1}
    parts["core"]["bare"][0]["predictions_hash"] = "b"
    parts["models"]["logistic"]["run"]["predictions_hash"] = "c"
    parts["chunks"] |= {"rows": 20_000, "runs": [used(1.0, predictions_hash="d")]}
    parts["sources"]["runs"]["SQLite, SQLAlchemy"][0]["snapshot_hash"] = "t"
    differ = {name for name, values in hashes(parts).items() if len(values) > 1}
    assert differ == {"the night of 1,000,000 flights", "the snapshot of 1,000,000 flights", "logistic"}


def test_page_is_written_between_its_comments(tmp_path: Path):
    page = tmp_path / "speed.md"
    page.write_text(f"# Speed\n\nBefore.\n\n{BEGIN}\n\nold\n\n{END}\n\nAfter.\n", encoding="utf-8")
    written(page, results())
    once = page.read_text(encoding="utf-8")
    written(page, results())
    assert page.read_text(encoding="utf-8") == once
    assert once.startswith(f"# Speed\n\nBefore.\n\n{BEGIN}\n\n## Ratios\n")
    assert once.endswith(f"{END}\n\nAfter.\n")
    assert "old" not in once
    assert "| join, HGB-100, rows/s ÷ bare predict (two threads) | ≥ 0.6 × | 0.62 × | PASS |" in once
    assert "| 3 | one key | 1,095 | 1.5 |" in once
    assert "published 10.0 s after it was triggered; a backfill of 30 nights took 100 s." in once
    assert not LINK.findall(once)


def test_a_part_that_was_left_out_says_why(tmp_path: Path):
    page = tmp_path / "speed.md"
    page.write_text(f"{BEGIN}{END}", encoding="utf-8")
    written(page, {"airflow": {**ABOUT, "left_out": "there is no bench.airflow_nights"}})
    assert "### Through Airflow\n\nNot measured: there is no bench.airflow_nights." in page.read_text(encoding="utf-8")


def test_tables_of_the_page_have_as_many_cells_in_every_line(tmp_path: Path):
    page = tmp_path / "speed.md"
    page.write_text(f"{BEGIN}{END}", encoding="utf-8")
    written(page, results())
    tables = [part for part in page.read_text(encoding="utf-8").split("\n\n") if part.startswith("|")]
    assert len(tables) == 14
    assert [table for table in tables if len({line.count("|") for line in table.splitlines()}) > 1] == []


def test_page_of_the_docs_has_a_place_for_the_results():
    text = PAGE.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.index(BEGIN) < text.index(END)
