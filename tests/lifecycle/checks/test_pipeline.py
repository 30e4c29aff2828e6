"""The processes that try a pipeline: they end in time with all their children, and what ended them is said."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lifecycle.checks.pipeline import check_pipeline
from scoring.errors import JobFileError
from tests.support.jobs import job_of

pytestmark = pytest.mark.slow

LONG = 300


@pytest.mark.parametrize(
    ("pipeline", "seconds", "parts"),
    [
        ("hangs", 1, ["no end after 1 s while calling tests.support.bad_pipelines:hangs", "NIGHTSHIFT_CHECK_SECONDS"]),
        ("leaves", LONG, ["ended with exit code 7 while calling tests.support.bad_pipelines:leaves"]),
        ("crashes", LONG, ["ended with signal SIGSEGV while calling", "support/bad_pipelines.py line "]),
        ("forgets", LONG, ["once the pipeline is stored and read in a new process", "the same predictions"]),
    ],
)
def test_process_that_does_not_come_to_its_end_is_said(pipeline: str, seconds: int, parts: list[str]) -> None:
    with pytest.raises(JobFileError) as caught:
        check_pipeline(job_of(pipeline), seconds)
    for part in ("jobs/shop.yaml: pipeline: found ", *parts):
        assert part in str(caught.value)
    assert children() == []


@pytest.mark.parametrize("pipeline", ["forks", "prints"])
def test_pipeline_that_forks_or_prints_passes_in_silence(pipeline: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert check_pipeline(job_of(pipeline), LONG) == []
    assert capfd.readouterr() == ("", "")
    assert children() == []


def children() -> list[str]:
    """Return the processes of this test that are still there a while after, whatever became of their parents."""
    mark = f"PYTEST_CURRENT_TEST={os.environ['PYTEST_CURRENT_TEST']}".encode()
    deadline = time.monotonic() + 5
    while (left := [process.name for process in Path("/proc").glob("[0-9]*") if mark in begun_with(process)]) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.05)
    return left


def begun_with(process: Path) -> list[bytes]:
    """Return the variables that a process began with; none of one that has ended."""
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return []
