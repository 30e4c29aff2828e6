"""The generated part of ``docs/measurements/speed.md``, between two comments; what is written by hand stays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.installation import Facts
from bench.targets import JOIN, bare_seconds, cpu_of, hashes, middle, targets
from scoring.settings import HOME

PAGE = HOME / "docs" / "measurements" / "speed.md"
BEGIN, END = "<!-- written by make bench: begin -->", "<!-- written by make bench: end -->"


def written(page: Path, parts: dict[str, Facts]) -> None:
    """Write the page's generated part anew from the parts that were measured."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{generated(parts)}\n\n{END}{after}", encoding="utf-8")


def generated(parts: dict[str, Facts]) -> str:
    """Return the tables of the parts that were measured, the ratios first."""
    lines = [_targets(parts)]
    for name, section in _SECTIONS.items():
        if name in parts:
            lines.append(section(parts[name]))
    if "peers" not in parts:
        lines.append("Spark, Ray and Dask were not measured: `make bench PEERS=1` installs them.")
    return "\n\n".join(lines)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _targets(parts: dict[str, Facts]) -> str:
    differ = sorted(name for name, values in hashes(parts).items() if len(values) > 1)
    same = (
        f"Not the same: {', '.join(differ)}."
        if differ
        else "`predictions_hash` is the same for every way to score them."
    )
    machines = {f"{part['machine']['cpu']}, {part['machine']['cores']} cores" for part in parts.values()}
    dates = sorted({f"{part['date'][:10]}" for part in parts.values()})
    commits = sorted({part["code_version"] for part in parts.values()})
    about = (
        f"Measured {' and '.join(dates)} at {', '.join(commits)} on {'; '.join(sorted(machines))}. " if parts else ""
    )
    rows = " and ".join(f"{rows:,}" for rows in sorted({part["rows"] for part in parts.values()}))
    note = f"The night that every way scores has about {rows} flights. " if parts else ""
    note += "Start-up is included on both sides, but for the bare predict, which has none."
    columns = ("ratio", "target", "measured", "")
    return f"## Ratios\n\n{about}{note} {same}\n\n{table(columns, [target.line() for target in targets(parts)])}"


def _heading(title: str, part: Facts, text: str) -> str:
    low, high = min(part["load_average"]), max(part["load_average"])
    about = f"Load average {low:.1f} to {high:.1f}; {part['date'][:10]}, `{part['code_version']}`."
    return f"### {title}\n\n{text} {about}"


def _used(name: str, runs: list[Facts], rows: float) -> tuple[str, ...]:
    """Return the cells of a way: seconds, rows/s, CPU seconds of Python and of PostgreSQL, memory."""
    wall, own = middle(runs, "wall_seconds"), middle(runs, "cpu_seconds")
    server, peak = middle(runs, "postgres_cpu_seconds"), middle(runs, "peak_mib")
    mine = middle(runs, "own_peak_mib")
    return name, f"{wall:.1f}", f"{rows / wall:,.0f}", f"{own:.1f}", f"{server:.1f}", f"{peak:,.0f}", f"{mine:,.0f}"


_USED = ("", "wall s", "rows/s", "CPU s, own", "CPU s, PostgreSQL", "peak MiB", "without PostgreSQL")


def _core(part: Facts) -> str:
    rows = middle(part["runs"][JOIN], "rows_extracted")
    lines = [_used(f"`nightshift run`, {name}", runs, rows) for name, runs in part["runs"].items()]
    lines.append(_used("naive loop: `read_sql`, `predict_proba`, `to_sql`", part["naive"], rows))
    alone, pair = middle(part["bare"], "one_thread_seconds"), bare_seconds(part["bare"])
    cpu = middle(part["bare"], "one_thread_cpu_seconds")
    lines.append(("bare `predict_proba`, one thread", f"{alone:.1f}", f"{rows / alone:,.0f}", f"{cpu:.1f}", "", "", ""))
    lines.append(("bare `predict_proba`, two threads", f"{pair:.1f}", f"{rows / pair:,.0f}", "", "", "", ""))
    runs, naive = len(part["runs"][JOIN]), len(part["naive"])
    text = f"{rows:,.0f} flights, 17 features, HGB-100; medians of {runs} runs, interleaved (naive loop: {naive})."
    stages = [
        (name, *(f"{middle(runs, f'seconds_{stage}'):.1f}" for stage in ("extract", "score", "publish")))
        for name, runs in part["runs"].items()
    ]
    said = "Seconds of the stages, which overlap; those of score are added up over its threads:"
    shown = table(("", "extract", "score", "publish"), stages)
    return f"{_heading('One night, three sources', part, text)}\n\n{table(_USED, lines)}\n\n{said}\n\n{shown}"


def _sources(part: Facts) -> str:
    rows = middle(part["runs"][JOIN], "rows_extracted")
    lines = [
        (*_used(name, runs, rows), f"{rows / middle(runs, 'seconds_extract'):,.0f}")
        for name, runs in part["runs"].items()
    ]
    text = f"{rows:,.0f} flights by `nightshift run`, medians of three runs, interleaved."
    return f"{_heading('SQLite', part, text)}\n\n{table((*_USED, 'rows/s of extract'), lines)}"


def _peers(part: Facts) -> str:
    rows = middle(part["runs"], "rows_extracted")
    lines = [(*_used("`nightshift run`, PostgreSQL, join", part["runs"], rows), "", "")]
    for name, facts in part["peers"].items():
        if "wall_seconds" in facts:
            steps = f"{facts['score_seconds']:.1f}", f"{facts['load_seconds']:.1f}"
            lines.append((*_used(name, [facts], rows), *steps))
    left = [f"{name} is left out: {facts['left_out']}." for name, facts in part["peers"].items() if "left_out" in facts]
    text = (
        f"The same {rows:,.0f} flights, from the same join to Parquet and to a table without an index, as the documentation "
        "of each has it. None of them checks, quarantines, reconciles or gates anything."
    )
    columns = (*_USED, "of it: read, score, Parquet", "of it: load the table")
    return "\n\n".join([_heading("Other tools", part, text), table(columns, lines), *left])


def _large(part: Facts) -> str:
    lines = [_used(f"{run['rows_extracted']:,} flights", [run], run["rows_extracted"]) for run in part["runs"]]
    text = "The join, HGB-100, one run each."
    return f"{_heading('Large nights', part, text)}\n\n{table(_USED, lines)}"


def _small(part: Facts) -> str:
    sizes = sorted({run["rows_extracted"] for run in part["runs"]})
    lines = [
        _used(f"{size:,} flights", [run for run in part["runs"] if run["rows_extracted"] == size], size)
        for size in sizes
    ]
    return f"{_heading('Small nights', part, 'The join, HGB-100, medians of three.')}\n\n{table(_USED, lines)}"


def _beside_bare(part: Facts) -> Iterable[tuple[str, ...]]:
    for name, facts in part.items():
        if not isinstance(facts, dict) or "bare" not in facts:
            continue
        run, bare = facts["run"], bare_seconds([facts["bare"]])
        ratio = cpu_of([run]) / facts["bare"]["one_thread_cpu_seconds"]
        yield (*_used(name, [run], run["rows_extracted"]), f"{bare / run['wall_seconds']:.2f}", f"{ratio:.2f}")


_BESIDE = (*_USED, "rows/s ÷ bare, two threads", "CPU ÷ bare")


def _models(part: Facts) -> str:
    text = f"The join, {part['rows']:,} flights, one run each, beside the bare predict of the same model; HGB-100 stands above."
    runs = {name: facts["run"] for name, facts in part.items() if isinstance(facts, dict) and "bare" in facts}
    lines = [(*line, runs[line[0]].get("evaluator") or "scikit-learn") for line in _beside_bare(part)]
    return f"{_heading('Models', part, text)}\n\n{table((*_BESIDE, 'scored by'), lines)}"


def _columns(part: Facts) -> str:
    text = "Made-up numbers in one table, 5 % nulls, HGB-100, chunks of 20,000 rows, one run each."
    lines = list(_beside_bare(part))
    rows = next(
        facts["run"]["rows_extracted"] for facts in part.values() if isinstance(facts, dict) and "bare" in facts
    )
    named = [(f"{line[0]} columns", *line[1:]) for line in lines]
    return f"{_heading(f'Columns, {rows:,} rows', part, text)}\n\n{table(_BESIDE, named)}"


def _chunks(part: Facts) -> str:
    lines = [_used(str(run["chunks"]), [run], run["rows_extracted"]) for run in part["runs"]]
    text = "The join, HGB-100, one run each."
    return f"{_heading('Chunks', part, text)}\n\n{table(('chunks', *_USED[1:]), lines)}"


def _elsewhere(title: str, part: Facts, text: str) -> str:
    """Return what another module measured: its own table, and what is known of it in words."""
    if "left_out" in part:
        return f"### {title}\n\nNot measured: {part['left_out']}."
    return f"{_heading(title, part, text)}\n\n{part.get('markdown', '')}".rstrip()


def _history(part: Facts) -> str:
    made = [_elsewhere("Years of history", part, "What a load costs per million rows, and what queries cost.")]
    for what, heading in {"load": "rows come", "queries": "query"}.items():
        lines = [
            (years, name, facts)
            for years, parts in part.get("years", {}).items()
            for name, facts in parts.get(what, {}).items()
        ]
        if lines:
            columns = ["years", heading, *(name.replace("_", " ") for name in lines[0][2])]
            cells = [(str(years), name, *(f"{value:,.4g}" for value in facts.values())) for years, name, facts in lines]
            made.append(table(columns, cells))
    sizes = [(name, f"{size:,.1f}") for name, size in part.get("re_runs", {}).items()]
    return "\n\n".join([*made, table(("a night's history after", "MiB"), sizes)] if sizes else made)


def _airflow(part: Facts) -> str:
    text = ""
    if "nights" in part:
        seconds = middle(part["nights"], "published_seconds")
        whole = part["backfill"]
        text = (
            f"A night of about 930 flights was published {seconds:.1f} s after it was triggered; "
            f"a backfill of {whole['nights']} nights took {whole['seconds']:.0f} s. Where the seconds of a night go:"
        )
    return _elsewhere("Through Airflow", part, text)


_SECTIONS = {
    "core": _core,
    "peers": _peers,
    "large": _large,
    "models": _models,
    "small": _small,
    "chunks": _chunks,
    "columns": _columns,
    "history": _history,
    "airflow": _airflow,
    "sources": _sources,
}
