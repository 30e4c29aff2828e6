"""Promotions and rollbacks are taken over while requests go on."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

from fastapi.testclient import TestClient

from lifecycle.promotion import promote, rollback
from tests.conftest import Toy
from tests.support.serving import GOOD, Serve, another_version, rows_of, until
from tests.support.toy import Training


class Load:
    """Threads that ask again and again, and note what they were answered."""

    def __init__(self, client: TestClient, job: str, threads: int = 3) -> None:
        self.client, self.path = client, f"/v1/jobs/{job}/predictions"
        self.seen: Counter[tuple[int, int]] = Counter()
        self.mixed: list[object] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(rows,)) for rows in range(1, threads + 1)]
        for thread in self._threads:
            thread.start()

    def _ask(self, rows: int) -> None:
        while not self._ended.is_set():
            sent = self.client.post(self.path, json={"rows": rows_of(rows * 3)})
            content = sent.json()
            version = content.get("model_version")
            if {row.get("model_version") for row in content.get("predictions", [])} != {version}:
                self.mixed.append(content)
            self.seen[sent.status_code, version] += 1

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()


def test_promotion_and_rollback_under_load_fail_no_request_and_mix_no_versions(
    toy: Toy, training: Training, serve: Serve
) -> None:
    client, _ = serve()
    second = another_version(toy, training)
    load = Load(client, toy.job.name)
    try:
        until(lambda: load.seen[200, 1] > 5)
        promote(toy.work, second.version, "better", "tests")
        until(lambda: load.seen[200, 2] > 5)
        rollback(toy.work, "worse", "tests")
        before = load.seen[200, 1]
        until(lambda: load.seen[200, 1] > before + 5)
    finally:
        load.end()
    assert load.mixed == []
    assert {status for status, _ in load.seen} == {200}
    assert {version for _, version in load.seen} == {1, 2}


def test_version_that_fails_its_check_does_not_answer(toy: Toy, training: Training, serve: Serve) -> None:
    client, office = serve()
    second = another_version(toy, training)
    pipeline = Path(second.uri.removeprefix("file://"), "pipeline.joblib")
    pipeline.write_bytes(pipeline.read_bytes() + b" ")
    promote(toy.work, second.version, "better", "tests")
    until(lambda: office.seats.by_job[toy.job.name].problem)
    answer = client.post(f"/v1/jobs/{toy.job.name}/predictions", json={"rows": [GOOD]}).json()
    assert answer["model_version"] == answer["predictions"][0]["model_version"] == 1
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json()["jobs"][toy.job.name]) == (200, {"model_version": 1, "taken_over": False})
    job = f'job="{toy.job.name}"'
    metrics = client.get("/metrics").text
    assert f"nightshift_takeover_problem{{{job}}} 1.0" in metrics
    assert f"nightshift_takeover_failures_total{{{job}}} 1.0" in metrics
    assert f'nightshift_served_version{{{job},model_version="1"}} 1.0' in metrics


def test_nobody_answers_without_a_champion_until_there_is_one(untrained: Toy, training: Training, serve: Serve) -> None:
    client, office = serve(ready=False)
    until(lambda: office.seats.by_job[untrained.job.name].problem)
    path = f"/v1/jobs/{untrained.job.name}/predictions"
    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").status_code == 503
    refused = client.post(path, json={"rows": [GOOD]})
    assert (refused.status_code, "champion" in refused.text) == (503, True)
    promote(untrained.work, another_version(untrained, training).version, "first", "tests")
    until(lambda: client.get("/health/ready").status_code == 200)
    assert client.post(path, json={"rows": [GOOD]}).status_code == 200


def test_challenger_answers_for_its_share_of_the_keys_always_the_same(
    toy: Toy, training: Training, serve: Serve
) -> None:
    second = another_version(toy, training)
    toy.stores.registry.set_alias(toy.job.name, "challenger", second.version)
    toy.change(serve={"challenger": {"share": 0.3}})
    client, _ = serve()
    path, rows = f"/v1/jobs/{toy.job.name}/predictions", rows_of(1000)
    first, again = (client.post(path, json={"rows": rows}).json()["predictions"] for _ in range(2))
    versions = [row["model_version"] for row in first]
    assert versions == [row["model_version"] for row in again]
    assert 240 < versions.count(2) < 360
    single = [client.post(path, json={"rows": [row]}).json()["predictions"][0]["model_version"] for row in rows[:30]]
    assert single == versions[:30]
