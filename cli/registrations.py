"""Commands about models that were fitted elsewhere, and about taking one elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import console
from cli.arguments import JobName, open_job
from scoring.errors import Permanent, VersionRefused
from scoring.interval import parse_night
from scoring.settings import system_user

if TYPE_CHECKING:
    from lifecycle.registration import Opened, Outcome, Registered, RegistrationRequest
    from scoring.stores import Workspace

app = typer.Typer()


@app.command("register")
def register_model(
    name: JobName,
    *,
    model: Annotated[str, typer.Option(help="A file, or models:/name/3 or runs:/id/path of MLflow.")],
    trained_until: Annotated[str, typer.Option(help="First night that the model did not learn from, YYYY-MM-DD.")],
    since: Annotated[
        str | None, typer.Option(help="First night of the reference; default: the training policy.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="First night that it is not judged on; default: training.holdout_nights of them.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Open a pickle (joblib), which runs code of its author.")
    ] = False,
    allow_type: Annotated[
        list[str] | None, typer.Option("--allow-type", help="A type in a skops file to be trusted; can be repeated.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Its columns in order, a,b,c, if it was fitted on an array without names.")
    ] = None,
    tracking_url: Annotated[
        str | None, typer.Option(help="The MLflow server of models:/ and runs:/; default: Nightshift's registry.")
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Crown a first version that misses a floor or is worse than a constant.")
    ] = False,
) -> None:
    """Make a version of a model that was fitted elsewhere: joblib or pickle, skops, ONNX, LightGBM, XGBoost, or MLflow's.

    Reference, golden rows and proofs are made from the job's own SQL. Only nights from --trained-until on count as evidence.
    The first version becomes champion as with train; a later one is compared with the champion, and the gate decides.
    """
    from lifecycle.registration import RegistrationRequest, judged, model_file, open_model

    work = open_job(name)
    first, end = parse_night(since) if since else None, parse_night(until) if until else None
    order = tuple(part.strip() for part in columns.split(",")) if columns else ()
    request = RegistrationRequest(parse_night(trained_until), first, end, order)
    file = model_file(work.stores, model, tracking_url)
    console.OUT.print(f"{model}: {file.form.name}, {len(file.content):,} bytes, sha256 {file.sha256}", soft_wrap=True)
    made = _made(work, open_model(file, work.job, trusted=trust, allowed=allow_type or ()), request)
    _conclude(work, made, judged(work, made, system_user(), anyway=anyway))


def _made(work: Workspace, opened: Opened, request: RegistrationRequest) -> Registered:
    """Return the version that was made of a model, and print what it is."""
    from lifecycle.registration import register, seen_until
    from scoring.stores.warehouse import ensure_job

    ensure_job(work.warehouse, work.job)
    with console.stages(f"register {work.job.name}") as progress:
        made = register(work, opened, request, seen_until(work, request.trained_until), progress)
    for line in _about(work, made):
        console.OUT.print(line, soft_wrap=True)
    return made


def _about(work: Workspace, made: Registered) -> list[str]:
    """Return sentences that say what the version is, and what says how good it is."""
    facts, number = made.facts, made.ref.version
    if made.was_there:
        return [f"{work.job.name} version {number} is this file already, with these rows; nothing was registered"]
    scores = ", ".join(f"{metric} {value:.4f}" for metric, value in facts.metrics.items())
    if made.evidence is None:
        said = f"no outcomes of nights from {facts.until} on are known, so how good it is was not measured"
    else:
        said = f"on {len(made.evidence)} nights that it had not seen, {made.evidence}: {scores}"
    return [
        f"{work.job.name} version {number}: {facts.format}, reference of {facts.rows:,} rows from {facts.since} on; {said}",
        f"its rows are scored by {facts.scored_by}",
    ]


def _conclude(work: Workspace, made: Registered, outcome: Outcome) -> None:
    """Print what becomes of the version. Raises ``VersionRefused`` for a first one that is not crowned."""
    name, number = work.job.name, made.ref.version
    if outcome.refused is not None:
        raise VersionRefused(
            f"{name} version {number} is the challenger, not champion",
            found=outcome.refused,
            expected="a first version that reaches every floor and is no worse than a constant",
            next_step=f"look at features, labels and --trained-until; `nightshift promote {name} {number}` crowns it anyway",
        )
    if outcome.champion_from is not None:
        console.OUT.print(f"{name} version {number} is champion from night {outcome.champion_from} on")
    row = outcome.retraining
    if row is not None:
        console.OUT.print(
            f"{name} version {number}: retraining {row.retraining_id} {row.state}: {row.detail or row.stage}",
            soft_wrap=True,
        )


@app.command("export-model")
def export_model(
    name: JobName,
    version: Annotated[int, typer.Argument(help="Model version.")],
    *,
    kind: Annotated[str, typer.Option("--format", help="skops or onnx.")],
    output: Annotated[str | None, typer.Option(help="The file; default: JOB_VERSION and the format.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a version's fitted pipeline as skops or ONNX, and say how far it lies from the version on its reference rows."""
    from lifecycle.registration import EXPORTED, exported

    if kind not in EXPORTED:
        raise typer.BadParameter(f"--format: found {kind!r}, expected one of {', '.join(EXPORTED)}")
    path = Path(output or f"{name}_{version}.{kind}")
    if path.exists() and not force:
        raise Permanent(f"file {path}", found="one that is there", next_step="give another --output, or --force")
    work = open_job(name)
    made = exported(work, version, kind)
    path.write_bytes(made.content)
    words = work.job.task.number
    console.OUT.print(
        f"{path}: {len(made.content):,} bytes; on {made.rows:,} reference rows the largest difference of a {words} is "
        f"{made.largest:.3g}, and {made.decided_otherwise:,} predictions are others",
        soft_wrap=True,
    )
    if made.unknown_types:
        console.OUT.print(f"who opens it has to allow the types {', '.join(made.unknown_types)}", soft_wrap=True)
