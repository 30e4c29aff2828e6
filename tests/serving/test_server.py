"""The server as a process: it answers, takes keys, and ends as it should when it is asked to."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from scoring.interval import Nights
from scoring.settings import HOME, child_environment
from scoring.stores.warehouse import requests
from tests.conftest import Toy
from tests.support.serving import rows_of, until
from tests.support.toy import NIGHT

MAIN = "from cli.main import main; main()"


@contextmanager
def server(toy: Toy, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run ``nightshift serve`` for the toy job; give the process and its address."""
    environment = child_environment({**toy.stores.settings.environment(), "PYTHONPATH": str(HOME)})
    environment |= {"NIGHTSHIFT_SERVE__FLUSH_SECONDS": "0.2"}
    command = [sys.executable, "-c", MAIN, "serve", toy.job.name, "--port", "0", *options]
    log = toy.folder / f"serve-{time.monotonic_ns()}.log"
    with log.open("w") as file:
        process = subprocess.Popen(command, env=environment, stderr=file)
    try:
        until(lambda: _address(log) or process.poll() is not None, 180)
        address = _address(log)
        assert address is not None, log.read_text()
        until(lambda: _ready(address), 180)
        yield process, address
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text()


def _address(log: Path) -> str | None:
    at = re.search(r"127\.0\.0\.1['\",: ]+([1-9]\d*)", log.read_text())
    return f"http://127.0.0.1:{at[1]}" if at else None


def _ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health/ready").status_code == 200
    except httpx.HTTPError:
        return False


def recorded(toy: Toy) -> list[dict[str, Any]]:
    return requests.of_nights(toy.work.warehouse, toy.job, Nights.of(NIGHT))


def test_sigterm_lets_running_requests_end_and_records_them(toy: Toy) -> None:
    with server(toy) as (process, address):
        body = json.dumps({"rows": rows_of(3)}).encode()
        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as begun:
            head = f"POST /v1/jobs/{toy.job.name}/predictions HTTP/1.1\r\nHost: localhost\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            begun.sendall(head.encode() + body[:10])
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            begun.sendall(body[10:])
            answer = b"".join(iter(lambda: begun.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        assert process.wait(timeout=30) in (0, -signal.SIGTERM)
    assert len(recorded(toy)) == 3


@pytest.mark.nightly
def test_killed_server_records_what_it_answered_when_it_is_started_again(toy: Toy) -> None:
    answered = 0
    with server(toy) as (process, address), httpx.Client(base_url=address) as client:
        path = f"/v1/jobs/{toy.job.name}/predictions"
        end = time.monotonic() + 3
        while time.monotonic() < end:
            answered += client.post(path, json={"rows": rows_of(2)}).status_code == 200
        process.kill()
        process.wait()
    before = len(recorded(toy))
    with server(toy):
        until(lambda: len(recorded(toy)) == 2 * answered, 30)
    assert before <= 2 * answered
    assert answered > 10


@pytest.mark.nightly
def test_several_processes_share_an_address_and_one_that_dies_is_replaced(toy: Toy) -> None:
    with server(toy, "--workers", "2") as (process, address):
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True
        )
        assert len(children.stdout.split()) >= 2
        path = f"{address}/v1/jobs/{toy.job.name}/predictions"
        assert {httpx.post(path, json={"rows": rows_of(2)}).status_code for _ in range(20)} == {200}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) in (0, -signal.SIGTERM)
    assert len(recorded(toy)) == 40
