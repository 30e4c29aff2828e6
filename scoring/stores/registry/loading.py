"""Loads versions: verified by their sha256 before they are unpickled, and by their golden rows after."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

from scoring.errors import ArtifactMismatch
from scoring.job import Job
from scoring.stores.registry.evaluating import proven_evaluator
from scoring.stores.registry.facts import TrainingFacts
from scoring.stores.registry.files import readable
from scoring.stores.registry.golden import check_golden_rows
from scoring.stores.registry.version import ARTIFACT, FACTS, FILES, NIGHTS_FILE, PROFILE, ModelVersion, VersionRef

_KEPT = 4
"""Versions that stay loaded: as many that threads share, and as many of each thread."""
_Place = tuple[Path, VersionRef, str]


def _verified(folder: Path, ref: VersionRef, job_json: str) -> ModelVersion:
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ArtifactMismatch(
            named(ref),
            found=f"no {missing} in {folder}",
            next_step="restore the files, or train a new version",
        )
    with readable(folder / ARTIFACT, named(ref)):
        content = (folder / ARTIFACT).read_bytes()
    digest = sha256_of(content)
    if digest != ref.sha256:
        raise ArtifactMismatch(
            f"model version {ref.version} of {ref.job}: {ARTIFACT} was not unpickled",
            found=f"sha256 {digest}",
            expected=f"sha256 {ref.sha256}",
            next_step="restore the file, or train a new version",
        )
    content_of_facts, profile = (json_of(folder / name, named(ref)) for name in (FACTS, PROFILE))
    with readable(folder / FACTS, named(ref)):
        facts = TrainingFacts.from_json(content_of_facts)
    nights = json_of(nights_file, named(ref)) if (nights_file := folder / NIGHTS_FILE).exists() else {}
    job = Job.model_validate_json(job_json)
    pipeline = unpickled(content)
    golden = check_golden_rows(folder, pipeline, facts, job, named(ref))
    evaluator, scored_by = proven_evaluator(pipeline, golden, facts, job)
    return ModelVersion(ref, pipeline, facts, profile, nights, facts.rule(job), evaluator, scored_by)


class _OfThread(threading.local):
    """The last versions that each thread has loaded."""

    def __init__(self) -> None:
        self.version = lru_cache(maxsize=_KEPT)(_verified)


class _Loaded:
    """The last versions that were loaded: those that threads may share, and those of each thread."""

    def __init__(self) -> None:
        self._lock, self._of_thread = threading.Lock(), _OfThread()
        self._shared: dict[_Place, ModelVersion] = {}

    def version(self, folder: Path, ref: VersionRef, job_json: str) -> ModelVersion:
        """Return a version, loaded once for all threads if they may share it. One is loaded at a time."""
        place = (folder, ref, job_json)
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


def named(ref: VersionRef) -> str:
    """Return what an error calls a version."""
    return f"model version {ref.version} of {ref.job}"


def json_of(path: Path, what: str) -> dict[str, Any]:
    """Return the content of a JSON file of a version. Raises ``ArtifactMismatch``."""
    with readable(path, what):
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def unpickled(content: bytes) -> Any:
    """Return the pipeline that ``lifecycle.training.pickled`` made the bytes of."""
    import joblib

    return joblib.load(io.BytesIO(content))


def sha256_of(content: bytes) -> str:
    """Return the sha256, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()
