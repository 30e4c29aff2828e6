"""The targets of the bench, each held against what was measured: PASS, missed, or not measured."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from bench.installation import Facts

JOIN, ONE_TABLE, PARQUET = "PostgreSQL, join", "PostgreSQL, one table", "Parquet, DuckDB"


@dataclass(frozen=True)
class Target:
    """A ratio that is to be reached, and the one that was measured, if it was."""

    what: str
    limit: float
    measured: float | None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """Return whether the target is met, or None when it was not measured."""
        if self.measured is None:
            return None
        return self.measured <= self.limit if self.at_most else self.measured >= self.limit

    def line(self) -> tuple[str, str, str, str]:
        """Return the cells of a table: what, target, measured, PASS or missed."""
        words = {True: "PASS", False: "**missed**", None: ""}
        measured = "not measured" if self.measured is None else f"{self.measured:.2f} ×"
        return self.what, f"{'≤' if self.at_most else '≥'} {self.limit:g} ×", measured, words[self.met]


def middle(runs: list[Facts], fact: str) -> float:
    """Return the median of a fact."""
    return float(median(run[fact] for run in runs))


def bare_seconds(bare: list[Facts]) -> float:
    """Return the seconds of the bare predict with two threads, by the faster of the two ways to use them."""
    return min(middle(bare, "two_openmp_seconds"), middle(bare, "two_chunks_seconds"))


def cpu_of(runs: list[Facts]) -> float:
    """Return the median of the CPU seconds of Python and PostgreSQL."""
    return float(median(run["cpu_seconds"] + run["postgres_cpu_seconds"] for run in runs))


def times_as_fast(others: list[Facts], ours: list[Facts], fact: str = "wall_seconds") -> float:
    """Return how many times as long the others took as ours, start-up included in both."""
    return middle(others, fact) / middle(ours, "wall_seconds")


def targets(parts: dict[str, Facts]) -> list[Target]:
    """Return every target with what the parts that were measured say of it."""
    return [*_core(parts.get("core")), *_large(parts.get("large")), *_models(parts.get("models")), *_peers(parts)]


def _core(core: Facts | None) -> list[Target]:
    ratios: dict[str, float] = {}
    if core:
        bare = bare_seconds(core["bare"])
        ratios = {name: bare / middle(runs, "wall_seconds") for name, runs in core["runs"].items()}
        ratios["cpu"] = cpu_of(core["runs"][JOIN]) / middle(core["bare"], "one_thread_cpu_seconds")
        ratios["naive"] = times_as_fast(core["naive"], core["runs"][JOIN])
    return [
        Target("join, HGB-100, rows/s ÷ bare predict (two threads)", 0.6, ratios.get(JOIN)),
        Target("one table, rows/s ÷ bare predict", 1.0, ratios.get(ONE_TABLE)),
        Target("Parquet, rows/s ÷ bare predict", 1.3, ratios.get(PARQUET)),
        Target("join, CPU of Python and PostgreSQL ÷ CPU of bare predict", 3.0, ratios.get("cpu"), at_most=True),
        Target("join, rows/s ÷ naive loop", 10.0, ratios.get("naive")),
    ]


def _large(large: Facts | None) -> list[Target]:
    ratio = growth = None
    if large:
        first, second, last = large["runs"]
        ratio = bare_seconds(large["bare"]) / second["wall_seconds"]
        growth = last["peak_mib"] / first["peak_mib"]
    return [
        Target("join, five times the rows, rows/s ÷ bare predict", 0.8, ratio),
        Target("memory of all processes, ten times the rows ÷ once", 1.2, growth, at_most=True),
    ]


def _models(models: Facts | None) -> list[Target]:
    ratio = None
    if models and "HGB-300" in models:
        facts = models["HGB-300"]
        ratio = bare_seconds([facts["bare"]]) / facts["run"]["wall_seconds"]
    return [Target("join, HGB-300, rows/s ÷ bare predict", 1.5, ratio)]


def _peers(parts: dict[str, Facts]) -> list[Target]:
    part = parts.get("peers")
    made = []
    for name in ("MLflow spark_udf, local[2]", "Ray Data map_batches", "Dask map_partitions"):
        facts = (part or {}).get("peers", {}).get(name, {})
        ratio = times_as_fast([facts], part["runs"]) if part and "wall_seconds" in facts else None
        made.append(Target(f"join, rows/s ÷ {name}", 3.0, ratio))
    return made


def hashes(parts: dict[str, Facts]) -> dict[str, set[str]]:
    """Return the different hashes of each night and model that several ways scored, and of its rows; one each is right."""
    made: dict[str, set[str]] = {}
    for part in (parts[name] for name in ("core", "sources", "peers", "chunks") if name in parts):
        runs = (
            part["runs"] if isinstance(part["runs"], list) else [run for each in part["runs"].values() for run in each]
        )
        peers = [facts for facts in part.get("peers", {}).values() if "predictions_hash" in facts]
        every = [*runs, *peers, *part.get("bare", []), *part.get("naive", [])]
        same = made.setdefault(f"the night of {part['rows']:,} flights", set())
        same |= {facts["predictions_hash"] for facts in every}
        snapshots = made.setdefault(f"the snapshot of {part['rows']:,} flights", set())
        snapshots |= {run["snapshot_hash"] for run in runs}
    for name, title in {"models": "{}", "columns": "{} columns"}.items():
        for what, facts in parts.get(name, {}).items():
            if isinstance(facts, dict) and "bare" in facts:
                pair = (facts["run"], facts["bare"])
                made[title.format(what)] = {one["predictions_hash"] for one in pair}
    return made
