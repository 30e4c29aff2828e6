"""The parts of the bench: each prepares what it needs, measures, and returns its facts, every repetition of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.util import find_spec

from bench.installation import JOB, Facts, Installation, Place, say
from bench.material import FIRST, MODELS, SHORTER, champion, in_chunks, night_of, one_table, parquet
from bench.peer_runs import run_peers
from bench.sources import with_sqlite
from bench.wide import wide_job
from scoring.settings import HOME, child_environment

REPETITIONS = 3


@dataclass(frozen=True)
class Size:
    """Rows of the nights of the bench. The smallest that make sense are for trying the bench itself."""

    rows: int = 1_000_000
    """Of the night that every way scores."""
    large: int = 5_000_000
    largest: int = 10_000_000
    """Of the night that shows the memory."""
    small: tuple[int, ...] = (10_000, 100_000)
    wide: int = 100_000
    """Of the nights with many columns."""

    @classmethod
    def of(cls, rows: int) -> Size:
        """Return the default sizes, in proportion, when every way scores ``rows``."""
        scale = rows / cls.rows
        small = tuple(max(1_000, int(one * scale)) for one in cls.small)
        return cls(rows, int(cls.large * scale), int(cls.largest * scale), small, max(1_000, int(cls.wide * scale)))

    def night(self, here: Installation, rows: int) -> date:
        """Return the night of ``rows`` flights, the same in every data folder: its predictions are compared."""
        place = (self.rows, self.large, self.largest, *self.small).index(rows)
        return night_of(here, FIRST + timedelta(days=place), rows)


def core(here: Installation, size: Size) -> Facts:
    """Score one night from every source, by the bare predict and by the naive loop, interleaved; then larger ones."""
    night = size.night(here, size.rows)
    where = places(here, night)
    here.run(night)  # compiles modules and fills caches, for all
    made: Facts = {"runs": {}, "bare": [], "naive": []}
    for repetition in range(REPETITIONS):
        for place in where:
            made["runs"].setdefault(place.name, []).append(_said(place.name, here.at(place).run(night)))
        made["bare"].append(_said("bare predict", here.step("bare", JOB, str(night))))
        if not repetition:
            made["naive"].append(_said("naive loop", _naive(here, night)))
    return made


def sources(here: Installation, size: Size) -> Facts:
    """Score one night from PostgreSQL, SQLite and Parquet, interleaved."""
    night = size.night(here, size.rows)
    where = with_sqlite(here, night)
    made: Facts = {"runs": {place.name: [] for place in where}}
    for _ in range(REPETITIONS):
        for place in where:
            made["runs"][place.name].append(_said(place.name, here.at(place).run(night)))
    return made


def _naive(here: Installation, night: date) -> Facts:
    used = here.step("naive", JOB, str(night))
    return {**used, **here.hash_of(night, "bench_naive")}


def places(here: Installation, night: date) -> list[Place]:
    """Return the join, the one table and the Parquet files, with the night in each."""
    return [here.place, one_table(here, night), parquet(here, night)]


def large(here: Installation, size: Size) -> Facts:
    """Score two larger nights from the join, and the smaller of them by the bare predict.

    Without monitoring: it would measure the performance of the night before, which was another size.
    """
    made: Facts = {"runs": [], "bare": []}
    nights = {rows: size.night(here, rows) for rows in (size.rows, size.large, size.largest)}
    for rows, night in nights.items():
        made["runs"].append(_said(f"run of {rows:,}", here.run(night, monitored=False)))
        if rows == size.large:
            made["bare"].append(_said("bare predict", here.step("bare", JOB, str(night))))
    return made


def small(here: Installation, size: Size) -> Facts:
    """Score small nights, three times each."""
    made: Facts = {"runs": []}
    for rows in size.small:
        night = size.night(here, rows)
        made["runs"] += [_said(f"run of {rows:,}", here.run(night)) for _ in range(REPETITIONS)]
    return made


def models(here: Installation, size: Size) -> Facts:
    """Score one night with the models besides HGB-100, each beside its own bare predict."""
    night = size.night(here, size.rows)
    made: Facts = {}
    for model, job in list(MODELS.items())[1:]:
        champion(here, job, SHORTER)
        run = _said(model, here.run(night, job))
        made[model] = {"run": run, "bare": _said(f"bare {model}", here.step("bare", job, str(night)))}
    return made


def columns(here: Installation, size: Size) -> Facts:
    """Score a night of numbers with 15, 100 and 500 columns, each beside its own bare predict."""
    made: Facts = {}
    for width in (15, 100, 500):
        wide, job, night = wide_job(here, width, size.wide)
        run = _said(f"{width} columns", wide.run(night, job))
        made[str(width)] = {"run": run, "bare": _said("bare predict", wide.step("bare", job, str(night)))}
    return made


def chunks(here: Installation, size: Size) -> Facts:
    """Score one night in 1, 4, 16 and 64 chunks."""
    night = size.night(here, size.rows)
    counts = (1, 4, 16, 64)
    return {"runs": [_said(f"{count} chunks", in_chunks(here, size.rows, count).run(night)) for count in counts]}


def peers(here: Installation, size: Size) -> Facts:
    """Score one night by Spark, Ray and Dask, and by ``run`` before and after."""
    night = size.night(here, size.rows)
    before = here.run(night)
    others = run_peers(here, night)
    return {"runs": [before, here.run(night)], "peers": others}


def history(here: Installation, size: Size) -> Facts:
    """Return what ``bench.history`` measures: loading and looking up with years of nights in the tables."""
    return elsewhere("bench.history", here)


def airflow(here: Installation, size: Size) -> Facts:
    """Return what ``bench.airflow_nights`` measures: nights through Airflow, from trigger to published."""
    return elsewhere("bench.airflow_nights", here)


def elsewhere(module: str, here: Installation) -> Facts:
    """Return what ``measure`` of a module returns, called in a process and a data folder of its own, with its ``table``."""
    if find_spec(module) is None:
        return {"left_out": f"there is no {module}"}
    folder, result = here.folder / module, here.folder / f"{module}.json"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        command = [sys.executable, "-m", "bench.measured", module, str(folder), str(result)]
        subprocess.run(command, cwd=HOME, env=child_environment({}), check=True)
        made: Facts = json.loads(result.read_text(encoding="utf-8"))
        return made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _said(what: str, facts: Facts) -> Facts:
    cpu = facts["cpu_seconds"] + facts["postgres_cpu_seconds"]
    say(f"{what}: {facts['wall_seconds']:.1f} s, CPU {cpu:.1f} s, {facts['peak_mib']:,.0f} MiB")
    return facts


PARTS: dict[str, Callable[[Installation, Size], Facts]] = {
    part.__name__: part for part in (core, large, models, peers, small, chunks, columns, history, airflow, sources)
}
"""In the order in which they are measured."""
ON_REQUEST = {"sources"}
"""Parts that are measured only when they are named."""
