"""Commands about model versions: training, promotion, rollback."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from cli import console, tables
from cli.arguments import JobName, Reason, open_job
from scoring.errors import VersionRefused
from scoring.interval import Nights, parse_night
from scoring.settings import system_user

if TYPE_CHECKING:
    from lifecycle.training import Trained
    from scoring.job import Job

app = typer.Typer()


@app.command("train")
def train_version(
    name: JobName,
    until: Annotated[str, typer.Option(help="Only what was known when this night began is used, YYYY-MM-DD.")],
    since: Annotated[str | None, typer.Option(help="First night that is read; default: the training policy.")] = None,
    promote: Annotated[bool | None, typer.Option(help="Make it champion; default: only if there is none yet.")] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Crown a first version that misses a floor or is worse than a constant.")
    ] = False,
) -> None:
    """Fit a new model version on the nights from --since on whose labels were known when --until began.

    The first version becomes champion if it reaches promotion.floors on the holdout and its loss there is no greater than
    that of always saying the base rate (or the mean); otherwise it is the challenger, and the exit code is 1.
    """
    from lifecycle import promotion
    from lifecycle.training import TrainingRequest, known_before, train
    from scoring.stores.warehouse import ensure_job, promotions

    work = open_job(name)
    end = parse_night(until)
    window = known_before(work.job, end, parse_night(since) if since else None)
    ensure_job(work.warehouse, work.job)
    with console.stages(f"train {name}") as progress:
        trained = train(work, window, progress, TrainingRequest(asked_until=end))
    for line in _about(work.job, window, end, trained):
        console.OUT.print(line)
    console.OUT.print(f"its rows are scored by {work.registry.facts(trained.ref).scored_by}", soft_wrap=True)
    none_yet = not promotions.history_of(work.warehouse, name)
    crown = promote or (promote is None and none_yet)
    refused = _refused(work.job, trained) if crown and none_yet and not anyway else None
    if crown and refused is None:
        champion = promotion.promote(work, trained.ref.version, "promoted at training", system_user())
        console.OUT.print(f"{name} version {trained.ref.version} is champion from night {champion.effective_from} on")
        return
    work.registry.set_alias(name, "challenger", trained.ref.version)
    if refused is not None:
        raise refused
    console.OUT.print(f"it is the challenger; nightshift promote {name} {trained.ref.version} makes it champion")


def _refused(job: Job, trained: Trained) -> VersionRefused | None:
    """Return why a first version is not crowned, or None if it may be."""
    from scoring.rows import constant_checks, floor_checks, holdout_metrics

    checks = floor_checks(holdout_metrics(trained.holdout, job), job.promotion.floors)
    checks += constant_checks(job.task.loss, trained.constant)
    failed = [check.sentence for check in checks if not check.passed]
    if not failed:
        return None
    number = trained.ref.version
    return VersionRefused(
        f"{job.name} version {number} is the challenger, not champion",
        found="; ".join(failed),
        expected="a first version that reaches every floor and is no worse than a constant",
        next_step=f"look at features, labels and window; `nightshift promote {job.name} {number}`, or train with "
        "--anyway, crowns it all the same",
    )


def _about(job: Job, window: Nights, until: date, trained: Trained) -> list[str]:
    """Return sentences that say what was trained on, how well it did, and what could not be trained on."""
    from lifecycle.training import left_out

    scores = ", ".join(f"{metric} {value:.4f}" for metric, value in trained.metrics.items())
    why = trained.too_short or "too few nights or classes"
    sentences = [
        f"{job.name} version {trained.ref.version}: {trained.rows:,} rows, {window.first} to {window.until} (not included); "
        f"{scores or f'no holdout: {why}, so how good it is was not measured'}"
    ]
    late = left_out(job, window, until)
    if late is not None:
        sentences.append(late)
    if trained.without_outcome:
        sentences.append(f"{trained.without_outcome:,} rows have no outcome in labels.sql and were not trained on")
    if trained.unreadable_labels:
        sentences.append(f"{trained.unreadable_labels:,} rows of labels.sql have a key that cannot be read")
    return sentences


@app.command()
def models(name: JobName, as_json: tables.Json = False) -> None:
    """List a job's model versions and promotions."""
    from scoring.stores.warehouse import promotions

    work = open_job(name)
    history = [
        (
            promotion.model_version,
            promotion.effective_from,
            promotion.kind,
            promotion.reason,
            promotion.promoted_by,
            promotion.promoted_at,
        )
        for promotion in promotions.history_of(work.warehouse, name)
    ]
    aliases = work.registry.aliases(work.job.name)
    rows: list[tuple[object, ...]] = []
    older: list[int] = []
    for ref in work.registry.versions(work.job.name):
        facts = work.registry.facts(ref)
        names = ", ".join(alias for alias, number in aliases.items() if number == ref.version)
        scores = ", ".join(f"{metric} {value:.4f}" for metric, value in facts.metrics.items())
        window = f"{facts.since} to {facts.until} (not included)"
        about = f"{scores}; prediction: {facts.rule(work.job).decision.words}"
        rows.append((ref.version, names, window, facts.rows, about, ref.sha256[:12]))
        older += [] if work.registry.recorded(ref) else [ref.version]
    columns = ("version", "alias", "trained on nights", "rows", "metrics; prediction", "sha256")
    tables.table(f"model versions of {name}", columns, rows, key="versions")
    tables.table(
        f"promotions of {name}", ("version", "effective from", "kind", "reason", "by", "at"), history, key="promotions"
    )
    if older:
        console.OUT.print(
            f"versions {older}: only the pipeline is held against a sha256: they are older than the record of the other files",
            soft_wrap=True,
        )


@app.command("promote")
def promote_version(
    name: JobName,
    version: Annotated[int, typer.Argument(help="Model version.")],
    reason: Reason = "promoted by hand",
    effective_from: Annotated[str | None, typer.Option(help="First night; default: the next one to be scored.")] = None,
) -> None:
    """Make a model version champion from a night on."""
    from lifecycle.promotion import promote

    work = open_job(name)
    night = parse_night(effective_from) if effective_from else None
    champion = promote(work, version, reason, system_user(), night)
    console.OUT.print(f"{name} version {version} is champion from night {champion.effective_from} on")


@app.command("rollback")
def roll_back(
    name: JobName,
    reason: Reason,
    to: Annotated[int | None, typer.Option(help="Model version; default: the champion before this one.")] = None,
) -> None:
    """Give the crown back to an earlier champion, from the next night on. Published nights stay."""
    from lifecycle.promotion import rollback

    work = open_job(name)
    champion = rollback(work, reason, system_user(), to)
    console.OUT.print(f"{name} version {champion.model_version} is champion from night {champion.effective_from} on")


@app.command("accept")
def accept_declarations(
    name: JobName, version: Annotated[int, typer.Argument(help="Model version.")], reason: Reason
) -> None:
    """Let a version be scored although the job file has wider rules, or another outcome, than it was trained with.

    It holds for what the job file says now, and is recorded. A feature that is gone, or became text, cannot be accepted.
    """
    from scoring.stores.registry import accept

    work = open_job(name)
    ref = work.registry.resolve(name, version)
    changes = accept(work.registry.files(ref), work.job, work.warehouse, reason, work.clock())
    if not changes:
        console.OUT.print(f"{name} version {version} was trained with what the job file declares: nothing to accept")
    for change in changes:
        sentence = f"{name} version {version}: {change.place}: {change.now}, trained with {change.trained}"
        console.OUT.print(sentence, soft_wrap=True, markup=False)
