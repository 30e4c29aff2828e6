"""Faults in the middle of a night: a child process that waits at a point, a reader meanwhile, and what must hold afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

from scoring.settings import HOME, RetentionPolicy, child_environment
from scoring.stores import embedded
from scoring.stores.urls import libpq_url
from scoring.stores.warehouse import ledger
from scoring.stores.workspace import Workspace
from scoring.upkeep.retention import apply, plan
from scoring.upkeep.verify import verify
from tests.conftest import Toy
from tests.support.retention import at
from tests.support.runs import expected, run, shown
from tests.support.toy import FEATURES, NIGHT, ROWS, execute

PATIENCE = 120
"""Seconds until a child that has not come to its point, or has not ended, is a failure."""
POINTS = {
    "rows sent and not committed": ("scoring.stores.warehouse.load", "stamped", 3),
    "loaded, before the flip": ("scoring.night.publish", "_pass_gate", 1),
    "in the transaction of the flip": ("scoring.stores.warehouse.ledger", "_point", 1),
    "flipped, before the lake object": ("scoring.night.publish", "_after_flip", 1),
    "lake object half written": ("scoring.night.shown", "stamped", 3),
}
"""Where the child waits: the function that it is about to call for the n-th time."""
WAITING = """
import importlib, sys, tempfile
tempfile.tempdir = None
(module, _, owner), name, turn = sys.argv[1].partition(":"), sys.argv[2], int(sys.argv[3])
where = importlib.import_module(module)
where = getattr(where, owner) if owner else where
real, calls = getattr(where, name), []
def waiting(*args, **kwargs):
    calls.append(1)
    if len(calls) == turn:
        print("here", flush=True)
        sys.stdin.readline()
    return real(*args, **kwargs)
setattr(where, name, waiting)
from cli.main import main
sys.argv = ["nightshift", *sys.argv[4:]]
main()
"""
COMMAND = """
import sys, tempfile
tempfile.tempdir = None
from cli.main import main
sys.argv[0] = "nightshift"
main()
"""
"""A command whose temporary files are where ``TMPDIR`` says, which the process it is a fork of did not know."""
SLOWLY = """
select at, id, x, kind from events
where at >= :interval_start and at < :interval_end and pg_sleep(0.02)::text = ''
"""
"""What reads the night's rows in some seconds."""


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    code: int
    err: str


def started(commands: Path, toy: Toy, *words: object) -> subprocess.Popen[str]:
    """Start ``nightshift`` with these words in a process of its own, whose temporary files are in the toy's folder."""
    (toy.folder / "tmp").mkdir(exist_ok=True)
    code = () if words[:1] == ("-c",) else ("-c", COMMAND)
    return subprocess.Popen(
        [str(commands / "nightshift"), *code, *map(str, words)],
        env=child_environment({**toy.stores.settings.environment(), "TMPDIR": str(toy.folder / "tmp")}),
        cwd=HOME,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(child: subprocess.Popen[str]) -> Ended:
    """Wait for a child, which may fail but not with a traceback."""
    _, err = child.communicate(timeout=PATIENCE)
    assert "Traceback" not in err, err
    return Ended(child.returncode, err)


def night_of(toy: Toy) -> tuple[object, ...]:
    """Return the words that score the toy's night."""
    return "run", toy.job.name, "--night", NIGHT


def waiting(commands: Path, toy: Toy, point: tuple[str, str, int]) -> subprocess.Popen[str]:
    """Return a child that scores the night and waits at a point until it is given a line."""
    child = started(commands, toy, "-c", WAITING, *point, *night_of(toy))
    assert child.stdout is not None
    if "here\n" not in iter(child.stdout.readline, ""):
        raise AssertionError(child.communicate()[1])
    return child


def during(commands: Path, toy: Toy, point: tuple[str, str, int], fault: Callable[[], object]) -> Ended:
    """Score the night in a child, do something while it waits at a point, let it go on, and return how it ended."""
    child = waiting(commands, toy, point)
    fault()
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()
    return ended(child)


def while_reading(commands: Path, toy: Toy, fault: Callable[[], object]) -> Ended:
    """Score the night in a child, do something while the source sends its rows, and return how the child ended."""
    features = toy.stores.settings.sql_path(toy.job.name, "features")
    features.write_text(SLOWLY)
    child = started(commands, toy, *night_of(toy))
    until = time.monotonic() + PATIENCE
    while not sessions(toy.source, "query ilike 'copy%' and state = 'active'"):
        assert child.poll() is None, child.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.05)
    fault()
    result = ended(child)
    features.write_text(FEATURES)
    return result


def sessions(url: str, condition: str, ask: str = "pid") -> list[Any]:
    """Return what ``ask`` says of the other sessions of a database that meet a condition."""
    others = "pid <> pg_backend_pid() and datname = current_database()"
    statement = f"select {ask} from pg_stat_activity where {others} and {condition}"
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        return [value for (value,) in connection.execute(statement).fetchall()]


def cut(url: str, condition: str = "true") -> None:
    """End the other sessions of a database that meet a condition."""
    assert any(sessions(url, condition, "pg_terminate_backend(pid)")), "nobody was there"


def restart(folder: Path) -> None:
    """Stop the server as an upgrade does, and start it."""
    embedded.stop(folder / "postgres")
    embedded.socket_folder(folder / "postgres")


def crash(folder: Path) -> None:
    """Kill the server at once, and let it recover."""
    cluster = folder / "postgres"
    os.kill(int((cluster / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    while embedded.runs(cluster):
        time.sleep(0.02)
    embedded.start_again(cluster)


@dataclass
class Reader:
    """Reads the night again and again, as an analyst and from the lake, and remembers every answer."""

    toy: Toy
    answers: set[tuple[Any, ...]] = field(default_factory=set)
    lake: set[tuple[str, str]] = field(default_factory=set)
    reads: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        """Read until ``stop``. A server that does not answer is asked again."""
        while not self._stop.is_set():
            try:
                with psycopg.connect(libpq_url(self.toy.stores.warehouse.analyst_url)) as connection:
                    while not self._stop.wait(0.01):
                        self._look(connection)
            except psycopg.Error:
                time.sleep(0.02)

    def stop(self) -> None:
        """Let ``read`` return."""
        self._stop.set()

    def _look(self, connection: psycopg.Connection) -> None:
        whole = "count(*), count(distinct id), count(distinct run_id)"
        query = f"select {whole} from {self.toy.job.name}_predictions where night = '{NIGHT}'"
        self.answers.update(connection.execute(query).fetchall())
        connection.rollback()
        self.reads += 1
        facts = self.toy.stores.lake.facts(self.toy.stores.lake.current(self.toy.job.name, NIGHT)) or {}
        self.lake.add((facts.get("rows", "none"), "run" if "run_id" in facts else "none"))


@contextmanager
def reader_of(toy: Toy) -> Iterator[Reader]:
    """Publish the night, let its rows change in the source, and read it during a block: it is never seen half."""
    run(toy)
    execute(toy.source, f"update events set x = x + 0.125 where at >= '{NIGHT}'")
    reader = Reader(toy)
    thread = threading.Thread(target=reader.read)
    thread.start()
    try:
        yield reader
    finally:
        reader.stop()
        thread.join()
    assert reader.reads > 0
    assert reader.answers == {(ROWS, ROWS, 1)}
    assert reader.lake == {(str(ROWS), "run")}


def require_healed(toy: Toy) -> None:
    """Assert that running the night again shows each row once, as an undisturbed run does, and that nothing else is left."""
    done = run(toy)
    assert done.status == "published"
    assert shown(toy) == expected(toy)
    undisturbed = run(toy)
    hashes = {ledger.get(toy.stores.warehouse, each.run_id).predictions_hash for each in (done, undisturbed)}
    assert len(hashes) == 1
    assert None not in hashes
    assert verify(toy.work) == []
    require_no_orphans(toy)


def retain(toy: Toy) -> None:
    """Carry out what retention plans long after, until it plans nothing."""
    work = Workspace(at(toy), toy.job)
    for _ in range(5):
        if not apply(work, plan(work, RetentionPolicy())):
            return
    raise AssertionError(plan(work, RetentionPolicy()))


def require_no_orphans(toy: Toy) -> None:
    """Assert that after retention there is nothing but what is published: files, rows, tables of the source, locks."""
    retain(toy)
    warehouse, lake, name = toy.stores.warehouse, toy.stores.lake, toy.job.name
    published = set(ledger.published(warehouse, name).values())
    runs = {each.run_id: each for each in ledger.of_job(warehouse, name)}
    assert not [each for each in runs.values() if each.status == "running"]
    assert set(lake.run_folders(name)) == published
    assert [path for path in lake.files(lake._root) if ".writing-" in path] == []
    numbers = {runs[run_id].run_number for run_id in published}
    for table in ("run_number from history", "run_number from loaded_chunks"):
        assert numbers_in(toy, table) <= numbers
    assert not sessions(warehouse.url, "application_name = 'nightshift' and state like 'idle in transaction%'")
    temporary = toy.folder / "tmp"
    assert not temporary.exists() or list(temporary.rglob("*")) == []
    for schema in toy.stores.settings.staging.values():
        engine = sa.create_engine(toy.source)
        assert sa.inspect(engine).get_table_names(schema) == []
        engine.dispose()


def numbers_in(toy: Toy, table: str) -> set[int]:
    """Return the numbers of the runs that have rows in a table."""
    from scoring.stores.warehouse.job_tables import history

    name = table.replace("history", f'"{history(toy.job).name}"')
    with psycopg.connect(libpq_url(toy.stores.warehouse.url)) as connection:
        return {number for (number,) in connection.execute(f"select distinct {name}").fetchall()}
