"""An MLflow server that keeps the model files on S3: the machines that score have neither keys nor disk in common with it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from scoring.settings import Settings, child_environment
from scoring.stores.installation import open_stores
from scoring.stores.registry import loading
from tests.conftest import Toy, drop_database, new_database
from tests.support.runs import run, shown
from tests.support.s3 import BUCKET, Proxy, request
from tests.support.toy import ROWS, train_champion, write_job

pytestmark = pytest.mark.nightly
STARTS = 180
"""Seconds that the server may take to start on a busy machine."""


@contextmanager
def mlflow_server(database: str, artifacts: str) -> Iterator[str]:
    """Give the address of an MLflow server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "mlflow",
        "server",
        "--host=127.0.0.1",
        f"--port={port}",
        "--workers=1",
    ]
    command += [f"--backend-store-uri={database}", "--serve-artifacts", f"--artifacts-destination={artifacts}"]
    process = subprocess.Popen(
        command,
        env=child_environment({"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{address}/health", process)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + STARTS
    while time.monotonic() < until:
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                assert answer.status == 200
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the server did not start")


def test_night_with_a_model_server_whose_files_are_on_s3(
    s3: Proxy, data_dir: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = new_database(data_dir)
    with mlflow_server(database, f"s3://{BUCKET}/{tmp_path.name}/models") as address:
        there = settings.model_copy(update={"registry_url": SecretStr(address)})
        stores = open_stores(there, lambda: datetime.now(UTC))
        toy = Toy(stores, write_job(tmp_path, "toy_of_a_server"), settings.sources["toy"].get_secret_value(), tmp_path)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
            monkeypatch.delenv(name)  # only the server has them
        train_champion(toy.work)
        (ref,) = stores.registry.versions(toy.job.name)
        assert ref.uri.startswith("mlflow-artifacts:")
        listed = request(s3.server, "GET", f"/{BUCKET}?list-type=2&prefix={tmp_path.name}/models/")[1].decode()
        assert "version/pipeline.joblib" in listed
        loading.loaded.clear()
        run(toy)
        assert len(shown(toy)) == ROWS
        assert stores.registry.size(ref) > 1000
        stores.registry.remove(ref)
        listed = request(s3.server, "GET", f"/{BUCKET}?list-type=2&prefix={tmp_path.name}/models/")[1].decode()
        assert "version/" not in listed
        stores.warehouse.engine.dispose()
    drop_database(data_dir, database)
