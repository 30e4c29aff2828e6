"""`make bench-serving`: predictions on demand, beside `mlflow models serve` and a plain FastAPI with joblib and a DataFrame.

The same model, the same rows and the same client; one process each, asked one after the other, in several rounds.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import numpy as np
import psutil
import pyarrow as pa

from scoring.job import find_job
from scoring.night import champion_ref
from scoring.rows import to_frame
from scoring.settings import HOME, child_environment, load_settings
from scoring.stores import RunFolder, Workspace, open_stores
from scoring.stores.warehouse import ledger

JOB = "flight_delay"
SECONDS = float(os.environ.get("SECONDS", "5"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
CONNECTIONS = 8
"""Requests that are under way at a time."""
MANY = 1_000
OURS = (sys.executable, "-W", "ignore", "-c", "from cli.main import main; main()")
Rows = list[dict[str, Any]]


@dataclass
class Rival:
    """A server: where it answers, what it is sent, and what was measured."""

    name: str
    url: str
    body: Callable[[Rows], Any]
    process: psutil.Process
    per_second: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """CPU seconds of the server for a request of one row, which other work on the machine changes little."""
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    many: list[float] = field(default_factory=list)
    """Rows per second in requests of ``MANY``."""


def main() -> None:
    """Measure, print the table, and write it to bench/results/serving.json."""
    work = _work()
    rows, batch = _night(work)
    with tempfile.TemporaryDirectory(prefix="nightshift-serving-") as name, ExitStack() as stack:
        version = work.registry.load(champion_ref(work, work.clock().date()), work.job)
        frame = to_frame(batch, work.job)
        rivals = [stack.enter_context(rival) for rival in _rivals(work, version.pipeline, Path(name))]
        bare = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            for _ in range(5):
                version.pipeline.predict_proba(frame)
            bare.append(5 * MANY / (time.perf_counter() - began))
            for rival in rivals:
                asyncio.run(_measure(rival, rows))
    facts = {
        "bare_rows_per_second": statistics.median(bare),
        "load": os.getloadavg(),
        "rivals": [vars(r) for r in rivals],
    }
    for rival in facts["rivals"]:
        rival.pop("body")
        rival.pop("process")
    print(_table(rivals, statistics.median(bare)))
    (HOME / "bench" / "results").mkdir(exist_ok=True)
    (HOME / "bench" / "results" / "serving.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _table(rivals: list[Rival], bare: float) -> str:
    lines = [
        "| server | requests/s, 1 row | CPU ms each | p50 ms | p99 ms | p99/p50 | rows/s, 1,000 rows | of bare predict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for rival in rivals:
        speed, p50, p99, whole = (
            statistics.median(some) for some in (rival.per_second, rival.p50, rival.p99, rival.many)
        )
        lines.append(
            f"| {rival.name} | {speed:,.0f} | {statistics.median(rival.cpu) * 1e3:.2f} | "
            f"{p50 * 1e3:.1f} | {p99 * 1e3:.1f} | {p99 / p50:.1f} | {whole:,.0f} | "
            f"{whole / bare:.2f} |"
        )
    return "\n".join([*lines, f"\nbare predict_proba: {bare:,.0f} rows/s; load average {os.getloadavg()[0]:.1f}"])


def _work() -> Workspace:
    settings = load_settings()
    return Workspace(open_stores(settings, lambda: datetime.now(UTC)), find_job(settings.jobs_dir, JOB))


def _night(work: Workspace) -> tuple[Rows, pa.RecordBatch]:
    """Return ``MANY`` rows of the first published night, keys made different where it has fewer, and the same as a batch."""
    published = ledger.published(work.warehouse, JOB)
    folder = RunFolder(work.lake, ledger.get(work.warehouse, published[min(published)]))
    table = work.lake.table(folder.part("features", 0)).combine_chunks()
    places = np.resize(np.arange(table.num_rows), MANY)
    batch = table.take(pa.array(places)).combine_chunks().to_batches()[0]
    rows = [
        {name: value.isoformat() if isinstance(value, date) else value for name, value in row.items()}
        for row in batch.to_pylist()
    ]
    for number, row in enumerate(rows):
        row["flight"] = number
    return rows, batch


def _rivals(work: Workspace, pipeline: Any, folder: Path) -> list[Any]:
    import joblib
    import mlflow

    features = list(work.job.features)
    joblib.dump(pipeline, folder / "pipeline.joblib")
    mlflow.sklearn.save_model(
        pipeline, folder / "mlflow", pyfunc_predict_fn="predict_proba", serialization_format="cloudpickle"
    )
    kinds = json.dumps({name: feature.type for name, feature in work.job.features.items()})
    plain = {"FEATURES": kinds, "PIPELINE": str(folder / "pipeline.joblib")}
    uvicorn = (sys.executable, "-m", "uvicorn", "bench.peers.plain_fastapi:app", "--no-access-log", "--port")
    mlflow_serve = (
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        str(folder / "mlflow"),
        "--env-manager",
        "local",
    )

    def chosen(rows: Rows) -> list[list[Any]]:
        return [[row[name] for name in features] for row in rows]

    return [
        _started(
            "nightshift serve",
            (*OURS, "serve", JOB, "--port"),
            "/health/ready",
            f"/v1/jobs/{JOB}/predictions",
            lambda rows: {"rows": rows},
        ),
        _started("FastAPI, joblib, DataFrame", uvicorn, "/health", "/predict", lambda rows: {"rows": rows}, plain),
        _started(
            "mlflow models serve",
            (*mlflow_serve, "--port"),
            "/ping",
            "/invocations",
            lambda rows: {"dataframe_split": {"columns": features, "data": chosen(rows)}},
        ),
    ]


@contextmanager
def _started(
    name: str,
    command: tuple[str, ...],
    ready: str,
    path: str,
    body: Callable[[Rows], Any],
    extra: dict[str, str] | None = None,
) -> Iterator[Rival]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    threads = {"OMP_NUM_THREADS": "1", "MLFLOW_MODELS_WORKERS": "1", "PATH": programs}
    environment = child_environment({**threads, "PYTHONPATH": str(HOME), **(extra or {})})
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            (*command, str(port)), env=environment, stdout=log, stderr=log, cwd=HOME, start_new_session=True
        )
        try:
            _wait(f"http://127.0.0.1:{port}{ready}", process, log)
            yield Rival(name, f"http://127.0.0.1:{port}{path}", body, psutil.Process(process.pid))
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Any) -> None:
    end = time.monotonic() + 180
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    log.seek(0)
    raise SystemExit(f"{url} does not answer:\n{log.read().decode()[-3000:]}")


async def _measure(rival: Rival, rows: Rows) -> None:
    single = [json.dumps(rival.body([row])).encode() for row in rows[:200]]
    whole = json.dumps(rival.body(rows)).encode()
    connector = aiohttp.TCPConnector(limit=4 * CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector, headers={"Content-Type": "application/json"}) as session:

        async def ask(body: bytes) -> float:
            began = time.perf_counter()
            async with session.post(rival.url, data=body) as answer:
                content = await answer.read()
                if answer.status != 200:
                    raise SystemExit(f"{rival.name}: {answer.status} {content[:500]!r}")
            return time.perf_counter() - began

        for body in single[:20]:
            await ask(body)
        before = _cpu_seconds(rival.process)
        rival.per_second.append(await _at_full_load(ask, single))
        rival.cpu.append((_cpu_seconds(rival.process) - before) / (rival.per_second[-1] * SECONDS))
        times = await _at_rate(ask, single, rival.per_second[-1] / 2)
        rival.p50.append(float(np.percentile(times, 50)))
        rival.p99.append(float(np.percentile(times, 99)))
        many = [await ask(whole) for _ in range(8)]
        rival.many.append(MANY / statistics.median(many))


def _cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU seconds so far of a process and its children."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(time.user + time.system for time in times)


async def _at_full_load(ask: Any, bodies: list[bytes]) -> float:
    """Return how many requests a second are answered while some are always under way."""
    end, answered = time.perf_counter() + SECONDS, 0

    async def again_and_again(number: int) -> None:
        nonlocal answered
        while time.perf_counter() < end:
            await ask(bodies[(number + answered) % len(bodies)])
            answered += 1

    began = time.perf_counter()
    await asyncio.gather(*(again_and_again(number) for number in range(CONNECTIONS)))
    return answered / (time.perf_counter() - began)


async def _at_rate(ask: Any, bodies: list[bytes], per_second: float) -> list[float]:
    """Return the seconds of each request when they come at a rate, whether those before were answered or not."""
    tasks, began = [], time.perf_counter()
    for number in range(int(SECONDS * per_second)):
        wait = began + number / per_second - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(ask(bodies[number % len(bodies)])))
    return await asyncio.gather(*tasks)


if __name__ == "__main__":
    main()
