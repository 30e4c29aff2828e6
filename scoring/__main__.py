"""``python -m scoring``: everything that the DAGs do, and everything to look at what they did."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from scoring import console
from scoring.errors import EmptyNight, RunMissing
from scoring.interval import DataInterval, parse_night
from scoring.job import Job, find_job, load_jobs
from scoring.settings import load_settings
from scoring.stores import Stores, open_stores

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
JobName = Annotated[str, typer.Argument(metavar="JOB", help="A job of the jobs/ folder.")]
Night = Annotated[str, typer.Argument(metavar="NIGHT", help="A calendar day in the job's timezone, YYYY-MM-DD.")]
RunId = Annotated[str, typer.Argument(metavar="RUN_ID", help="A run of the ledger; see explain-night.")]
Reason = Annotated[str, typer.Option(help="Why; it is recorded.")]


def _open(name: str) -> tuple[Stores, Job]:
    settings = load_settings()
    job = find_job(settings.jobs_dir, name)
    return open_stores(settings, _now), job


def _now() -> datetime:
    return datetime.now(UTC)


@app.command()
def migrate() -> None:
    """Create the warehouse's tables, views and roles, or bring them up to date. Safe to repeat."""
    from scoring.warehouse.schema import ensure_job
    from scoring.warehouse.schema import migrate as bring_up_to_date

    stores = open_stores(settings := load_settings(), _now)
    bring_up_to_date(stores.warehouse)
    jobs, broken = load_jobs(settings.jobs_dir)
    for job in jobs:
        ensure_job(stores.warehouse, job)
    console.OUT.print(f"warehouse is up to date, jobs {[job.name for job in jobs]}")
    for error in broken.values():
        raise error


@app.command()
def check(name: Annotated[str | None, typer.Argument(metavar="[JOB]", help="One job; all by default.")] = None) -> None:
    """Check job files, their pipelines, and their SQL against the source, without reading rows."""
    from scoring.checking import check_job

    settings = load_settings()
    jobs, broken = load_jobs(settings.jobs_dir)
    if name is not None:
        jobs, broken = [find_job(settings.jobs_dir, name)], {}
    stores = open_stores(settings, _now)
    for job in jobs:
        check_job(stores, job)
        console.OUT.print(f"{job.name}: job file, pipeline, features.sql and labels.sql are valid")
    for error in broken.values():
        console.ERR.print(str(error), style="red", markup=False)
    raise typer.Exit(1 if broken else 0)


@app.command("new-job")
def new_job(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters, digits and _.")],
    source: Annotated[str, typer.Option(help="Name of the source database.")] = "demo",
) -> None:
    """Write the files of a new job: yaml, pipeline, SQL and a test."""
    from scoring.scaffold import new_job as write

    for path in write(load_settings(), name, source):
        console.OUT.print(f"wrote {path}", highlight=False, soft_wrap=True)
    console.OUT.print(f"edit them, then: python -m scoring check {name}")


@app.command()
def train(
    name: JobName,
    until: Annotated[str, typer.Option(help="First night that is not read, YYYY-MM-DD.")],
    since: Annotated[
        str | None, typer.Option(help="First night that is read; default: training.window_days before.")
    ] = None,
    promote: Annotated[bool | None, typer.Option(help="Make it champion; default: only if there is none yet.")] = None,
) -> None:
    """Fit a new model version on the nights from --since up to, not including, --until."""
    from scoring.promoting import promote as make_champion
    from scoring.training import train as fit
    from scoring.warehouse import promotions
    from scoring.warehouse.schema import ensure_job

    stores, job = _open(name)
    last = parse_night(until)
    first = parse_night(since) if since else last - timedelta(days=job.training.window_days)
    ensure_job(stores.warehouse, job)
    with console.progress(f"train {name}") as told:
        trained = fit(stores, job, (first, last), told)
    scores = ", ".join(f"{metric} {value:.4f}" for metric, value in trained.metrics.items())
    console.OUT.print(
        f"{name} version {trained.ref.version}: {trained.rows:,} rows, {first} to {last} (not included); {scores}"
    )
    if promote or (promote is None and not promotions.history_of(stores.warehouse, name)):
        made = make_champion(stores, job, trained.ref.version, "promoted at training", getpass.getuser())
        console.OUT.print(f"{name} version {trained.ref.version} is champion from night {made.effective_from} on")
    else:
        stores.registry.set_alias(name, "challenger", trained.ref.version)
        console.OUT.print(
            f"it is the challenger; python -m scoring promote {name} {trained.ref.version} makes it champion"
        )


@app.command()
def models(name: JobName) -> None:
    """List a job's model versions and promotions."""
    from scoring.warehouse import promotions

    stores, job = _open(name)
    aliases = stores.registry.aliases(job.name)
    rows = []
    for ref in stores.registry.versions(job.name):
        known = stores.registry.facts(ref)
        called = ", ".join(alias for alias, number in aliases.items() if number == ref.version)
        scores = ", ".join(f"{metric} {value:.4f}" for metric, value in known["metrics"].items())
        window = f"{known['since']} to {known['until']} (not included)"
        rows.append((ref.version, called, window, known["rows"], scores, ref.sha256[:12]))
    columns = ("version", "alias", "trained on nights", "rows", "metrics", "sha256")
    console.table(f"model versions of {name}", columns, rows)
    made = [list(vars(one).values())[1:7] for one in promotions.history_of(stores.warehouse, name)]
    console.table(f"promotions of {name}", ("version", "effective from", "kind", "reason", "by", "at"), made)


@app.command()
def promote(
    name: JobName,
    version: Annotated[int, typer.Argument(help="Model version.")],
    reason: Reason = "promoted by hand",
    effective_from: Annotated[str | None, typer.Option(help="First night; default: the next one to be scored.")] = None,
) -> None:
    """Make a model version champion from a night on."""
    from scoring.promoting import promote as make_champion

    stores, job = _open(name)
    night = parse_night(effective_from) if effective_from else None
    made = make_champion(stores, job, version, reason, getpass.getuser(), night)
    console.OUT.print(f"{name} version {version} is champion from night {made.effective_from} on")


@app.command()
def rollback(
    name: JobName,
    reason: Reason,
    to: Annotated[int | None, typer.Option(help="Model version; default: the champion before this one.")] = None,
) -> None:
    """Give the crown back to an earlier champion, from the next night on. Published nights stay."""
    from scoring.promoting import rollback as give_back

    stores, job = _open(name)
    made = give_back(stores, job, reason, getpass.getuser(), to)
    console.OUT.print(f"{name} version {made.model_version} is champion from night {made.effective_from} on")


@app.command()
def run(
    name: JobName,
    night: Annotated[str, typer.Option(help="Calendar day in the job's timezone, YYYY-MM-DD.")],
    model_version: Annotated[int | None, typer.Option(help="Default: the champion at that night.")] = None,
) -> None:
    """Score and publish one night, without Airflow, through the functions that the DAG calls."""
    from scoring.nightly import Request, run_night

    stores, job = _open(name)
    request = Request(parse_night(night), _now(), "cli", model_version=model_version)
    try:
        with console.progress(f"{name} {night}") as told:
            done = run_night(stores, job, request, told)
    except EmptyNight as error:
        if job.on_empty == "fail":
            raise
        console.OUT.print(f"skipped: {error}", markup=False)
        return
    console.OUT.print(f"{name} {night}: {done.status}, {done.rows:,} rows, run {done.run_id}", soft_wrap=True)
    console.OUT.print(f"lake object {done.lake_object}", soft_wrap=True)


@app.command()
def release(name: JobName, run_id: RunId) -> None:
    """Publish a held night (or an older run again) although the gate spoke against it."""
    from scoring.publishing import release as let_go

    stores, job = _open(name)
    done = let_go(stores, job, run_id)
    console.OUT.print(f"run {run_id}: {done.status}, {done.rows:,} rows", soft_wrap=True)


@app.command()
def discard(name: JobName, run_id: RunId) -> None:
    """Drop the rows of a held night; what was published before stays."""
    from scoring.publishing import discard as drop

    stores, job = _open(name)
    console.OUT.print(f"run {run_id}: discarded, {drop(stores, job, run_id):,} rows dropped", soft_wrap=True)


@app.command()
def verify(
    name: JobName,
    repair: Annotated[bool, typer.Option("--repair", help="Write wrong lake objects anew.")] = False,
) -> None:
    """Compare ledger, table and lake of every published night. Exit code 1 if something is left unrepaired."""
    from scoring.inspection import verify as compare

    stores, job = _open(name)
    findings = compare(stores, job, repair)
    for finding in findings:
        console.OUT.print(
            f"{finding.night}: {finding.problem}{' (repaired)' if finding.repaired else ''}", soft_wrap=True
        )
    console.OUT.print(f"{name}: {len(findings)} problems")
    if any(not finding.repaired for finding in findings):
        raise typer.Exit(1)


@app.command()
def status() -> None:
    """Show, for every job, whether last night is there, complete and fresh."""
    columns, rows = open_stores(load_settings(), _now).warehouse.query("select * from scoring_status order by job")
    for row in rows:
        console.facts(f"job {row[0]}", zip(columns[1:], row[1:], strict=True))


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One select, run read-only as the analyst role.")],
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
) -> None:
    """Ask the warehouse, as an analyst may."""
    columns, rows = open_stores(load_settings(), _now).warehouse.query(query)
    console.as_csv(columns, rows) if csv else console.table(f"{len(rows)} rows", columns, rows)


@app.command("explain-night")
def explain_night(name: JobName, night: Night) -> None:
    """Show everything that the ledger knows of a night: every attempt, what it did and how it ended."""
    from scoring.warehouse import ledger

    stores, job = _open(name)
    day = parse_night(night)
    runs = ledger.runs_of(stores.warehouse, name, day)
    interval = DataInterval.of_night(day, job.schedule.timezone)
    shown = ledger.published(stores.warehouse, name, day).get(day)
    console.OUT.print(f"{name} {night}: {interval.start} to {interval.end}, {interval.hours:g} hours", soft_wrap=True)
    console.OUT.print(f"published: run {shown}" if shown else "published: nothing", soft_wrap=True)
    if not runs:
        next_step = f"python -m scoring run {name} --night {night}"
        raise RunMissing(f"{name} {night}", found="no attempt in the ledger", next_step=next_step)
    told = [fact for fact in runs[0].facts if fact not in ("job", "night", "attempt")]
    rows = [(fact, *(run.facts[fact] for run in runs)) for fact in told]
    console.table(f"attempts at {night}", ("fact", *(f"attempt {run.attempt}" for run in runs)), rows)


@app.command("diff-nights")
def diff_nights(
    name: JobName,
    night: Night,
    first: Annotated[str | None, typer.Argument(help="Run id; default: the last but one that was scored.")] = None,
    second: Annotated[str | None, typer.Argument(help="Run id; default: the last that was scored.")] = None,
) -> None:
    """Compare the predictions of two runs of a night."""
    from scoring.inspection import diff_runs, two_runs

    stores, job = _open(name)
    chosen = (first, second or "a second run") if first else None
    found = diff_runs(stores, job, *two_runs(stores, job, parse_night(night), chosen))
    facts = ("run_id", "status", "model_version", "sql_sha256", "snapshot_hash", "predictions_hash", "code_version")
    pairs = [(fact, getattr(found.first, fact), getattr(found.second, fact)) for fact in facts]
    console.table(f"{name} {night}", ("", "first", "second"), pairs)
    counts = ("rows_compared", "rows_changed", "only_first", "only_second", "largest", "mean")
    words = (
        "rows compared",
        "rows changed",
        "rows only in first",
        "rows only in second",
        "largest difference",
        "mean difference",
    )
    console.facts("predictions", zip(words, (getattr(found, count) for count in counts), strict=True))


def main() -> None:
    """Run the command line."""
    console.run(app)


if __name__ == "__main__":
    main()
