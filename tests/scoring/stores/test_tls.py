"""PostgreSQL that takes encrypted connections only: ``sslmode=verify-full`` in the URL, through SQLAlchemy and ADBC."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from demo.local_airflow import free_port
from scoring.stores.arrow_connections import arrow_connection
from scoring.stores.urls import libpq_url

pytestmark = pytest.mark.slow
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
"""Of the machine's own PostgreSQL: the wheel's was built without TLS."""
ENCRYPTED = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
OWNER: dict[str, Any] = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}


def certificate(folder: Path, name: str, host: str) -> None:
    """Make a key and a certificate for a host, signed by itself."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={host}"]
    files = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
    subprocess.run([*command, "-addext", f"subjectAltName=DNS:{host}", *files], check=True, capture_output=True)
    (folder / f"{name}.key").chmod(0o600)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Path]]:
    """The address of a server that refuses every connection without TLS, and the folder of the certificates."""
    if not PROGRAMS or shutil.which("openssl") is None:
        pytest.skip("no PostgreSQL with TLS on this machine (Debian: postgresql, openssl)")
    folder = Path(tempfile.mkdtemp(prefix="nightshift-tls-"))
    certificate(folder, "server", "localhost")
    certificate(folder, "stranger", "localhost")
    if OWNER:
        for path in (folder, folder / "server.key", folder / "server.crt"):
            shutil.chown(path, "nobody", "nogroup")
    folder.chmod(0o755)
    port, data = free_port(), folder / "data"

    def run(program: str, *words: str) -> None:
        command = [str(PROGRAMS[-1] / program), *words]
        subprocess.run(command, check=True, capture_output=True, cwd="/", timeout=60, **OWNER)

    run("initdb", "-D", str(data), "--username=postgres", "--auth=trust", "--no-sync")
    (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 trust\n")
    settings = (
        f"-p {port} -k {folder} -c ssl=on -c ssl_cert_file={folder}/server.crt -c ssl_key_file={folder}/server.key"
    )
    run("pg_ctl", "-D", str(data), "--wait", "-l", str(folder / "log"), "-o", settings, "start")
    try:
        yield f"postgresql+psycopg://postgres@localhost:{port}/postgres", folder
    finally:
        run("pg_ctl", "-D", str(data), "--wait", "--mode=immediate", "stop")
        shutil.rmtree(folder)


def test_rows_are_read_and_copied_over_a_verified_connection(server: tuple[str, Path]) -> None:
    address, folder = server
    url = f"{address}?sslmode=verify-full&sslrootcert={folder}/server.crt"
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        assert connection.exec_driver_sql(ENCRYPTED).scalar_one() is True
    with arrow_connection(libpq_url(url)) as connection, connection.cursor() as cursor:
        cursor.execute(ENCRYPTED)
        assert cursor.fetchall() == [(True,)]
        rows = pa.table({"night": pa.array([1, 2, 3], pa.int64())})
        assert cursor.adbc_ingest("nights", rows, mode="create") == 3
        connection.commit()
        cursor.execute("select sum(night)::bigint from nights")
        assert cursor.fetchone() == (6,)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("sslmode=verify-full&sslrootcert={folder}/stranger.crt", "certificate verify failed"),
        ("sslmode=disable", "no encryption"),
    ],
)
def test_server_with_another_certificate_and_a_plain_connection_are_refused(
    server: tuple[str, Path], options: str, words: str
) -> None:
    address, folder = server
    url = f"{address}?{options.format(folder=folder)}"
    with pytest.raises(sa.exc.OperationalError, match=words):
        sa.create_engine(url, poolclass=sa.NullPool).connect()
    with pytest.raises(Exception, match=words), arrow_connection(libpq_url(url)):
        pass
