"""Loads versions: verified by their sha256 before they are unpickled, and by their golden rows after."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from scoring.errors import ArtifactMismatch
from scoring.job import Job
from scoring.stores.registry.declaration import Declaration, narrowed
from scoring.stores.registry.evaluating import proven_evaluator
from scoring.stores.registry.facts import TrainingFacts
from scoring.stores.registry.files import readable
from scoring.stores.registry.golden import check_golden_rows, golden_rows
from scoring.stores.registry.version import ARTIFACT, FACTS, FILES, NIGHTS_FILE, PROFILE, ModelVersion, VersionRef
from scoring.stores.registry.version_files import VersionFiles

_KEPT = 4
"""Versions that stay loaded: as many that threads share, and as many of each thread."""
_Place = tuple[VersionFiles, str, tuple[str, ...]]
"""A version's files, the job as JSON, and the features that the version was trained with."""


def _verified(files: VersionFiles, job_json: str, features: tuple[str, ...]) -> ModelVersion:
    missing = files.missing(FILES)
    if missing:
        raise ArtifactMismatch(
            files.what,
            found=f"no {missing} in {files.folder}",
            next_step="restore the files, or train a new version",
        )
    content, facts, profile = files.content(ARTIFACT), facts_of(files), files.json(PROFILE)
    nights, job = files.json(NIGHTS_FILE), narrowed(Job.model_validate_json(job_json), features)
    golden = golden_rows(files)
    pipeline = unpickled(content)
    check_golden_rows(golden, pipeline, facts, job, files.what)
    evaluator, scored_by = proven_evaluator(pipeline, golden[0], facts, job)
    return ModelVersion(files.ref, pipeline, facts, profile, nights, facts.rule(job), evaluator, scored_by, features)


class _OfThread(threading.local):
    """The last versions that each thread has loaded."""

    def __init__(self) -> None:
        self.version = lru_cache(maxsize=_KEPT)(_verified)


class _Loaded:
    """The last versions that were loaded: those that threads may share, and those of each thread."""

    def __init__(self) -> None:
        self._lock, self._of_thread = threading.Lock(), _OfThread()
        self._shared: dict[_Place, ModelVersion] = {}

    def version(self, files: VersionFiles, job: Job, features: tuple[str, ...]) -> ModelVersion:
        """Return a version of these features, loaded once for all threads if they may share it. One is loaded at a time."""
        place = (files, job.model_dump_json(), features)
        with self._lock:
            version = self._shared.get(place) or self._of_thread.version(*place)
            if version.stateless:
                self._keep(place, version)
            return version

    def _keep(self, place: _Place, version: ModelVersion) -> None:
        self._shared.pop(place, None)
        self._shared[place] = version  # the last one asked for
        if len(self._shared) > _KEPT:
            del self._shared[next(iter(self._shared))]

    def clear(self) -> None:
        """Forget the shared versions, and those of this thread."""
        self._shared.clear()
        self._of_thread.version.cache_clear()


loaded = _Loaded()


def facts_of(files: VersionFiles) -> TrainingFacts:
    """Return the facts of a version. Raises ``ArtifactMismatch``."""
    content = files.json(FACTS)
    with readable(files.folder / FACTS, files.what):
        return TrainingFacts.from_json(content)


def seen_job(files: VersionFiles, job: Job, accepted: Callable[[VersionRef, str], bool]) -> Job:
    """Return the job as a version sees it. Raises ``DeclarationMismatch``, unless what changed was ``accepted``."""
    declaration = declaration_of(files)
    view, changes = declaration.job_of(job), declaration.changes(job)
    lasting = any(change.lasting for change in changes)
    if changes and (lasting or not accepted(files.ref, declaration.digest(job))):
        raise declaration.refusal(job, changes, files.ref.version)
    return view


@lru_cache(maxsize=_KEPT)
def declaration_of(files: VersionFiles) -> Declaration:
    """Return what a version was trained with. Of one that has no record of it, its golden rows tell. Nothing is unpickled."""
    content = facts_of(files).declaration
    if content is not None:
        with readable(files.folder / FACTS, files.what):
            return Declaration.from_json(content)
    return Declaration.of_golden_rows(golden_rows(files)[0].schema, files.json(PROFILE).get("weights"))


def unpickled(content: bytes) -> Any:
    """Return the pipeline that ``lifecycle.training.pickled`` made the bytes of."""
    import joblib

    return joblib.load(io.BytesIO(content))
