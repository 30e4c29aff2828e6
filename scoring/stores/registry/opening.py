"""Opens a verified pipeline: here, or after an upgrade that changes what it says, in an environment of its version's own."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from scoring.errors import GoldenRowsMismatch
from scoring.job import Job, words_of
from scoring.rows import predict
from scoring.stores.registry.environments import Environments, Needed
from scoring.stores.registry.facts import TrainingFacts
from scoring.stores.registry.golden import (
    GOLDEN_TOLERANCE,
    Golden,
    check_golden_rows,
    largest_difference,
    library_versions,
)
from scoring.stores.registry.remote import RemotePipeline


@dataclass(frozen=True)
class Artifact:
    """The verified bytes of a pipeline, and what opens them here."""

    content: bytes
    pickled: bool
    """Whether joblib made the bytes, which an environment of the version's own can then open."""
    open: Callable[[], Any]


def proven_pipeline(
    artifact: Artifact, golden: Golden, facts: TrainingFacts, job: Job, environments: Environments, what: str
) -> tuple[Any, str | None]:
    """Return the pipeline, and the words for its environment if it is not this one.

    With other libraries than at training it is opened here where its golden rows get their bits again. Otherwise the
    environment of its version predicts; without one it goes on here as long as the difference is at most 1e-9. Raises
    ``GoldenRowsMismatch``.
    """
    differing = changed(facts)
    if not differing:
        pipeline = artifact.open()
        check_golden_rows(golden, pipeline, facts, job, what)
        return pipeline, None
    pipeline, gap, problem = _tried(artifact, golden, facts, job)
    needed = Needed.of(facts) if artifact.pickled else None
    if gap == 0 or (needed is None and problem is None):
        check_golden_rows(golden, pipeline, facts, job, what)
        return pipeline, None
    python = None if needed is None else environments.python(needed)
    if needed is not None and python is not None:
        remote = RemotePipeline(python, artifact.content, environments.variables(), needed.words, facts.inputs or ())
        check_golden_rows(golden, remote, facts, job, what)
        return remote, needed.words
    if gap <= GOLDEN_TOLERANCE:
        return pipeline, None
    raise GoldenRowsMismatch(
        f"{what}: golden rows",
        found=f"{problem or f'predictions up to {gap:.3g} away from those at training'}; changed libraries: {differing}",
        expected=f"at most {GOLDEN_TOLERANCE:g}",
        next_step=_way_on(job, what, needed is not None),
    )


def _way_on(job: Job, what: str, has_environment: bool) -> str:
    if not has_environment:  # a file that is no pickle, or facts that do not say what it needs
        return "install the libraries that it was made with, or make a new version"
    return (
        f"`nightshift environment {job.name} {_number(what)}` installs the libraries of training beside these, "
        "NIGHTSHIFT_VERSION_ENVIRONMENTS=allowed lets nights do that; or train a new version"
    )


def _tried(artifact: Artifact, golden: Golden, facts: TrainingFacts, job: Job) -> tuple[Any, float, str | None]:
    """Return the pipeline as these libraries open it, how far its golden rows lie from before, and what went wrong."""
    rows, expected = golden
    try:
        with warnings.catch_warnings():  # scikit-learn's about another release: the golden rows say whether it matters
            warnings.simplefilter("ignore")
            pipeline = artifact.open()
            return pipeline, largest_difference(predict(pipeline, rows, job, facts.rule(job)), expected, job), None
    except Exception as error:  # noqa: BLE001 - whatever these libraries raise, those of training may not
        return None, float("inf"), words_of(error)


def changed(facts: TrainingFacts) -> list[str]:
    """Return the libraries that a version was made with in another release, with both. Python's patch level counts as none."""
    recorded, now = {**facts.library_versions, **facts.packages}, library_versions()
    differing = []
    for name, version in recorded.items():
        here = now[name] if name in now else _installed(name)
        same = _minor(version) == _minor(here) if name == "python" else version == here
        differing += [] if same else [f"{name} {version} → {here}"]
    return differing


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "nothing"


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def _number(what: str) -> str:
    """Return the version's number from what errors call it: model version 3 of a job.

    >>> _number("model version 3 of flight_delay")
    '3'
    """
    return what.split()[2]
