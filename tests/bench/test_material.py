"""The job files of the bench, the parts that are asked for, and what a peer lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.installation import Installation, Place, own_settings
from bench.material import MODELS, once, write_jobs
from bench.parts import ON_REQUEST, PARTS, Size
from bench.peer_runs import Peer
from bench.speed import _parts, asked_of
from bench.usage import StepFailed
from bench.wide import _job
from scoring.job import Job, find_job


def test_job_of_every_model_is_valid_and_makes_a_pipeline(tmp_path: Path):
    write_jobs(tmp_path, 62_500)
    jobs = [find_job(tmp_path, name) for name in MODELS.values()]
    assert {job.chunk_rows for job in jobs} == {62_500}
    made = [type(job.pipeline_factory()().steps[-1][1]).__name__ for job in jobs]
    assert made == [*["HistGradientBoostingClassifier"] * 2, "RandomForestClassifier", "LogisticRegression"]


def test_wide_job_is_valid():
    job = Job.model_validate(_job("wide_500", 500))
    assert len(job.features) == 500


def test_sizes_keep_their_proportions():
    assert Size.of(1_000_000) == Size()
    assert Size.of(20_000) == Size(20_000, 100_000, 200_000, (1_000, 2_000), 2_000)


def test_all_parts_are_measured_but_those_on_request():
    assert asked_of([]).parts == [part for part in PARTS if part not in ON_REQUEST]
    assert asked_of(["--only", "core,sources"]).parts == ["core", "sources"]


def test_a_part_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        asked_of(["--only", "cores"])
    assert "--only: cores, expected some of core, " in capsys.readouterr().err


def test_what_was_prepared_once_is_not_prepared_again(tmp_path: Path):
    here = Installation(tmp_path, tmp_path, Place("nowhere", tmp_path))
    assert once(here, "a_night", lambda: {"rows": 1}) == {"rows": 1}
    assert once(here, "a_night", lambda: {"rows": 2}) == {"rows": 1}


def test_peers_that_are_not_here_are_left_out_and_their_results_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bench.peer_runs.PYTHON", tmp_path / "python")
    asked = asked_of(["--only", "core,peers", "--results", str(tmp_path)])
    assert _parts(asked, "1") == ["core"]
    (tmp_path / "python").touch()
    assert _parts(asked, "1") == ["core", "peers"]


def test_what_the_commit_has_no_results_of_is_missing(tmp_path: Path):
    for part, code in {"core": "1", "large": "0"}.items():
        (tmp_path / f"{part}.json").write_text(f'{{"code_version": "{code}"}}', encoding="utf-8")
    asked = asked_of(["--only", "core,large,chunks", "--missing", "--results", str(tmp_path)])
    assert _parts(asked, "1") == ["large", "chunks"]


def test_a_peer_says_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bench.peer_runs.PYTHON", tmp_path / "python")
    assert "PEERS=1" in str(Peer("a", "a").missing())
    (tmp_path / "python").touch()
    assert Peer("a", "a").missing() is None
    assert "no-such-program" in str(Peer("a", "a", "no-such-program").missing())
    assert "driver.jar" in str(Peer("a", "a", None, tmp_path / "driver.jar").missing())


def test_databases_of_others_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NIGHTSHIFT_WAREHOUSE_URL", "postgresql://somewhere/warehouse")
    with pytest.raises(StepFailed, match="unset NIGHTSHIFT_WAREHOUSE_URL"):
        own_settings(tmp_path)
