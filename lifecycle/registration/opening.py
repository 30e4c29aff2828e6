"""Opens a model's file: first in a process of its own, which may crash or hang, then here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lifecycle.registration.model_file import ModelFile, require_trust
from scoring.errors import ArtifactMismatch, NightshiftError
from scoring.job import Job, words_of
from scoring.settings import child_environment
from scoring.stores.registry import opened, unknown_types

SECONDS = 300
"""How long a file may take to be opened, imports of its libraries included."""
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Variables of the environment that the process gets: none that holds a password."""


@dataclass(frozen=True)
class Opened:
    """A model, the file it came from, and the types in it that somebody allowed."""

    file: ModelFile
    model: Any = field(repr=False)
    allowed_types: tuple[str, ...] = ()


def open_model(file: ModelFile, job: Job, *, trusted: bool = False, allowed: Sequence[str] = ()) -> Opened:
    """Return the model of a file. A pickle is only opened if it is trusted, skops only if every type in it is known or allowed.

    Raises ``ArtifactMismatch`` when it is neither, and when a process of its own could not open it.
    """
    require_trust(file, trusted)
    types = _allowed_types(file, allowed)
    _tried(file, job, types)
    try:
        model = opened(file.form, file.content, job, types, None)
    except NightshiftError:
        raise
    except Exception as error:  # whatever a library raises: named and raised again
        raise _unreadable(file, words_of(error)) from error
    return Opened(file, model, types)


def _allowed_types(file: ModelFile, allowed: Sequence[str]) -> tuple[str, ...]:
    """Return the types of a skops file that are not known to be harmless. Raises ``ArtifactMismatch`` unless all are allowed."""
    try:
        unknown = unknown_types(file.form, file.content)
    except Exception as error:  # no zip, no schema, an older protocol
        raise _unreadable(file, words_of(error)) from error
    refused = [name for name in unknown if name not in allowed]
    if refused:
        raise ArtifactMismatch(
            f"model {file.source} was not opened",
            found=f"types that skops does not know to be harmless: {', '.join(refused)}",
            expected="types that somebody allowed by name",
            next_step="look at each, then allow those you trust: "
            + " ".join(f"--allow-type {name}" for name in unknown),
        )
    return tuple(unknown)


def _tried(file: ModelFile, job: Job, types: Sequence[str]) -> None:
    """Raise ``ArtifactMismatch`` when a process of its own does not open the file, ends by itself, or takes too long."""
    path = os.pathsep.join(str(Path.cwd()) if part == "" else part for part in sys.path)
    whole = child_environment({"PYTHONPATH": path})
    environment = {name: whole[name] for name in (*_PASSED_ON, "PYTHONPATH") if name in whole}
    with tempfile.TemporaryDirectory(prefix="nightshift-model-") as name:
        folder = Path(name)
        (folder / "model").write_bytes(file.content)
        asked = {"format": file.form.name, "types": list(types), "job": job.model_dump_json()}
        (folder / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "lifecycle.registration.opening_process", str(folder)]
        try:
            process = subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _unreadable(file, f"it was not open after {SECONDS} seconds") from None
        answer = folder / "answer.json"
        if not answer.exists():
            raise _unreadable(file, f"the process that opened it ended with code {process.returncode}")
        fault = json.loads(answer.read_text(encoding="utf-8"))["fault"]
        if fault is not None:
            raise _unreadable(file, str(fault))


def _unreadable(file: ModelFile, fault: str) -> ArtifactMismatch:
    return ArtifactMismatch(
        f"model {file.source} cannot be opened as {file.form.name}",
        found=fault,
        expected="a fitted model that this installation's libraries can read",
        next_step="save it with the releases in requirements.txt, and put modules that it needs into jobs/",
    )
