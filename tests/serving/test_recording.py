"""Every answer is recorded once, whatever happens to the server or the warehouse; forgotten and aged like other rows."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from psycopg import sql

from lifecycle.erasure import EntityKey, forget, plan
from scoring.errors import NightshiftError
from scoring.interval import Nights
from scoring.settings import HOME, RetentionPolicy
from scoring.stores.warehouse import requests
from scoring.upkeep.retention import apply
from scoring.upkeep.retention import plan as removable
from serving.champions import Seat
from serving.journal import Entry, Journal
from serving.recording import Recorder
from serving.review import review
from tests.conftest import Toy, administration
from tests.support.serving import GOOD, Serve, another_version, as_json, rows_of, until
from tests.support.toy import NIGHT, Training, events, execute, train_champion

AT = datetime(2024, 1, 8, tzinfo=UTC)


def recorded(toy: Toy) -> list[dict[str, Any]]:
    return requests.of_nights(toy.work.warehouse, toy.job, Nights.of(NIGHT))


def test_answers_are_recorded_with_what_was_asked(toy: Toy, training: Training, serve: Serve) -> None:
    second = another_version(toy, training)
    toy.stores.registry.set_alias(toy.job.name, "challenger", second.version)
    toy.change(serve={"challenger": {"share": 0.3}, "shadow": True})
    client, office = serve()
    bad = {**GOOD, "id": 10_000, "x": "far"}
    answer = client.post(f"/v1/jobs/{toy.job.name}/predictions", json={"rows": [*rows_of(50), bad]}).json()
    until(lambda: office.desks[toy.job.name].journal.pending == 0)
    rows = recorded(toy)
    of_role = {
        role: [row for row in rows if row["nightshift_role"] == role] for role in ("champion", "challenger", "shadow")
    }
    answered = sorted(of_role["champion"] + of_role["challenger"], key=lambda row: int(row["nightshift_row"]))
    for row, said in zip(answered, answer["predictions"], strict=False):
        assert {name: row[name] for name in ("prediction", "probability", "model_version")} == {
            name: said[name] for name in ("prediction", "probability", "model_version")
        }
        assert row["nightshift_request"] == answer["request_id"]
        assert row["nightshift_features"] == {"x": row["id"] / 50, "kind": "a"}
    assert len(answered) == 50
    assert len(of_role["challenger"]) > 0
    assert [row["id"] for row in of_role["shadow"]] == [row["id"] for row in of_role["champion"]]
    assert {row["model_version"] for row in of_role["shadow"]} == {2}


@contextmanager
def away(toy: Toy, data_dir: Path) -> Iterator[None]:
    """Let nobody into the warehouse for a while, not even those who are in."""
    name = str(toy.stores.warehouse.engine.url.database)
    allow = sql.SQL("alter database {} with allow_connections {}")
    with administration(data_dir) as connection:
        connection.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])
        yield
        connection.execute(allow.format(sql.Identifier(name), sql.SQL("true")))


def test_answers_wait_in_the_journal_while_the_warehouse_is_away(toy: Toy, serve: Serve, data_dir: Path) -> None:
    client, office = serve()
    desk = office.desks[toy.job.name]
    with away(toy, data_dir):
        assert client.post(f"/v1/jobs/{toy.job.name}/predictions", json={"rows": rows_of(5)}).status_code == 200
        until(lambda: office.recorder._away)
        assert desk.journal.pending > 0
        assert client.get("/health/ready").status_code == 200
        assert client.get(f"/v1/jobs/{toy.job.name}/predictions/2024-01-07/1").status_code == 503
    until(lambda: desk.journal.pending == 0)
    assert len(recorded(toy)) == 5


def test_full_journal_loses_the_record_and_not_the_answer(
    toy: Toy, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, office = serve()
    monkeypatch.setattr(office.desks[toy.job.name].journal, "_limit", 10)
    assert client.post(f"/v1/jobs/{toy.job.name}/predictions", json={"rows": [GOOD]}).status_code == 200
    assert f'nightshift_requests_unrecorded_total{{job="{toy.job.name}"}} 1.0' in client.get("/metrics").text


def test_entries_are_read_up_to_one_that_was_cut_off(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 1)
    entries = [Entry(f"{n}", AT, 1, b'{"rows": [1]}' * n, b"answer\n") for n in range(3)]
    assert all(journal.add(entry) for entry in entries)
    assert list(journal.files()) == []  # which is still written
    journal.rotate()
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    for cut in range(len(content)):
        path.write_bytes(content[:cut])
        ((_, some),) = [(where, list(read)) for where, read in Journal(tmp_path, 1).files()]
        assert some == entries[: len(some)]
        assert not path.exists()
        path.touch()
    path.write_bytes(content)
    assert [list(read) for _, read in journal.files()] == [entries]


KILLED = """
import importlib.util, os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
spec = importlib.util.spec_from_file_location("journal", sys.argv[2])  # alone: it needs nothing of the rest
module = sys.modules["journal"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
journal = module.Journal(Path(sys.argv[1]), 64)
for number in range(1000):
    answered = journal.add(module.Entry(str(number), datetime.now(UTC), 1, b"{}", b"{}"))
    if number == 777:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_kill_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    module = HOME / "serving" / "journal.py"
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(module)], check=False)
    assert done.returncode == -signal.SIGKILL
    (entries,) = [list(read) for _, read in Journal(tmp_path, 64).files()]
    assert [entry.request_id for entry in entries] == [str(number) for number in range(778)]


def test_recording_twice_records_once(toy: Toy, serve: Serve) -> None:
    client, office = serve(flush_seconds=3600)
    client.post(f"/v1/jobs/{toy.job.name}/predictions", json={"rows": rows_of(3)})
    desk = office.desks[toy.job.name]
    desk.journal.rotate()
    (path,) = desk.journal.folder.iterdir()
    content = path.read_bytes()
    for _ in range(2):
        path.write_bytes(content)
        Recorder([(desk.seat, desk.journal)], 1).flush()
    assert len(recorded(toy)) == 3


def test_forgotten_key_is_gone_and_does_not_come_back_from_the_journal(toy: Toy, serve: Serve) -> None:
    client, office = serve(flush_seconds=3600)
    path, desk = f"/v1/jobs/{toy.job.name}/predictions", office.desks[toy.job.name]
    client.post(path, json={"rows": rows_of(3)})
    office.recorder.flush()
    client.post(path, json={"rows": rows_of(3)})
    key = EntityKey.of(toy.job, {"id": "1"})
    assert {item.store: item.rows for item in plan(toy.work, key).items}["predictions on demand (warehouse)"] == 1
    forget(toy.work, key, "asked for", "tests")
    assert [row["id"] for row in recorded(toy)] == [0, 2]
    office.recorder.flush()
    assert desk.journal.pending == 0
    assert [row["id"] for row in recorded(toy)] == [0, 2]
    client.post(path, json={"rows": rows_of(2)})
    office.recorder.flush()
    assert [row["id"] for row in recorded(toy)] == [0, 2, 0, 1]


def test_what_was_answered_before_a_feature_was_added_is_recorded(toy: Toy, serve: Serve) -> None:
    client, office = serve(flush_seconds=3600)
    client.post(f"/v1/jobs/{toy.job.name}/predictions", json={"rows": [GOOD]})
    desk = office.desks[toy.job.name]
    features = toy.job.model_dump(mode="json")["features"]
    toy.change(features={**features, "z": {"type": "float", "nullable": True}})
    Recorder([(Seat(toy.work), desk.journal)], 1).flush()  # a server that begins with the new file
    assert [row["nightshift_features"] for row in recorded(toy)] == [{"x": 0.5, "kind": "a"}]


def test_journal_that_cannot_be_read_goes_with_the_next_erasure(toy: Toy, serve: Serve) -> None:
    client, office = serve(flush_seconds=3600)
    client.post(f"/v1/jobs/{toy.job.name}/predictions", json={"rows": [GOOD]})
    desk = office.desks[toy.job.name]
    desk.journal.rotate()
    (path,) = desk.journal.folder.iterdir()
    path.write_bytes(b"no entry\n")
    office.recorder.flush()
    assert [file.suffix for file in desk.journal.folder.iterdir()] == [".unreadable"]
    key = EntityKey.of(toy.job, {"id": "1"})
    assert any("could not be read" in item.store for item in plan(toy.work, key).items)
    forget(toy.work, key, "asked for", "tests")
    assert list(desk.journal.folder.iterdir()) == []


def test_retention_removes_old_answers(toy: Toy, serve: Serve) -> None:
    client, office = serve(flush_seconds=3600)
    client.post(f"/v1/jobs/{toy.job.name}/predictions", json={"rows": rows_of(3)})
    office.recorder.flush()
    policy = RetentionPolicy(request_days=10)
    assert [one for one in removable(toy.work, policy) if one.kind == "predictions on demand"] == []
    later = toy.stores.clock() + timedelta(days=11)
    stores = type(toy.stores)(**{**vars(toy.stores), "clock": lambda: later})
    work = type(toy.work)(stores, toy.job)
    old = [one for one in removable(work, policy) if one.kind == "predictions on demand"]
    assert [one.rows for one in old] == [3]
    assert [one.rows for one in apply(work, old)] == [3]
    assert recorded(toy) == []


def test_requests_command_tells_how_each_version_did(toy: Toy, training: Training, serve: Serve, shell: Any) -> None:
    second = another_version(toy, training)
    toy.stores.registry.set_alias(toy.job.name, "challenger", second.version)
    toy.change(serve={"challenger": {"share": 0.3}, "shadow": True})
    client, office = serve(flush_seconds=3600)
    rows = events(NIGHT)[["at", "id", "x", "kind"]]
    sent = as_json(pa.RecordBatch.from_pandas(rows, preserve_index=False))
    for _ in range(2):  # of a key that is asked twice the last answer counts
        assert client.post(f"/v1/jobs/{toy.job.name}/predictions", json={"rows": sent}).status_code == 200
    office.recorder.flush()
    reviewed = {(one.version, one.role): one for one in review(toy.work, Nights.of(NIGHT))}
    assert set(reviewed) == {(1, "champion"), (2, "challenger"), (2, "shadow")}
    champion, shadow = reviewed[1, "champion"], reviewed[2, "shadow"]
    assert (champion.rows, champion.keys) == (2 * champion.keys, champion.labelled)
    assert champion.metrics == shadow.metrics  # the same model on the same rows
    assert champion.metrics["auc"]["low"] < champion.metrics["auc"]["value"] < champion.metrics["auc"]["high"]  # type: ignore[operator]
    assert champion.verdict is not None
    assert champion.verdict.verdict == "ok"
    moved = [{**row, "id": row["id"] + 1000, "x": 40.0} for row in sent]
    client.post(f"/v1/jobs/{toy.job.name}/predictions", json={"rows": moved})
    office.recorder.flush()
    drifted = next(one for one in review(toy.work, Nights.of(NIGHT)) if one.role == "champion")
    assert drifted.verdict is not None
    assert drifted.verdict.verdict == "alert"
    assert "champion" in shell("requests", toy.job.name).out


def test_answers_are_recorded_of_a_job_that_gets_an_interval_later(untrained: Toy, serve: Serve) -> None:
    execute(untrained.source, "alter table events alter column y type double precision using coalesce(x, 0)")
    changes: dict[str, Any] = {"task": "regression", "pipeline": "tests.support.pipelines:build_linear"}
    untrained.change(**changes)
    train_champion(untrained.work)
    for interval in (None, 0.8):  # the table is there when the job gets its interval
        untrained.change(**changes, interval=interval)
        client, office = serve(flush_seconds=3600)
        client.post(f"/v1/jobs/{untrained.job.name}/predictions", json={"rows": [GOOD]})
        office.recorder.flush()
        assert office.desks[untrained.job.name].journal.pending == 0
    assert len(recorded(untrained)) == 2


def test_analysts_do_not_read_what_was_asked(toy: Toy, serve: Serve) -> None:
    client, office = serve(flush_seconds=3600)
    client.post(f"/v1/jobs/{toy.job.name}/predictions", json={"rows": [GOOD]})
    office.recorder.flush()
    with pytest.raises(NightshiftError, match="permission denied"):
        toy.work.warehouse.query(f"select * from {toy.job.name}_requests")
