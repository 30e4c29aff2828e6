"""Environments of versions: the packages that a version was made with, installed by uv in a folder of their own."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from scoring.errors import SettingsError
from scoring.settings import Settings, child_environment
from scoring.stores.registry.facts import TrainingFacts

FOLDER = "environments"
PICKLE = "joblib"
"""The format of artifacts that a worker opens. Those of others stay as they are whatever is installed."""
MADE = "made.json"
"""The record of an environment, in its folder. It is written last."""
_PATIENCE = 1_800
"""Seconds that uv may take."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""Chunks are scored side by side: a worker computes in one thread, as the process does that it scores for."""


@dataclass(frozen=True)
class Needed:
    """What a version needs: a release of Python, and packages with their versions; ``whole`` if these are all it needs."""

    python: str
    packages: tuple[tuple[str, str], ...]
    whole: bool

    @classmethod
    def of(cls, facts: TrainingFacts) -> Needed | None:
        """Return what a version of these facts needs, or None when they do not say it, or its file is no pickle.

        Versions of before name six packages; what these require then is whatever release uv takes.
        """
        recorded = {name: version for name, version in facts.library_versions.items() if name != "python"}
        python = facts.library_versions.get("python")
        packages = facts.packages or recorded
        if python is None or "scikit-learn" not in packages or facts.format not in (None, PICKLE):
            return None
        return cls(".".join(python.split(".")[:2]), tuple(sorted(packages.items())), bool(facts.packages))

    @property
    def digest(self) -> str:
        """Return the hash that names the environment."""
        return hashlib.sha256(json.dumps([self.python, self.packages, self.whole]).encode()).hexdigest()[:16]

    @property
    def words(self) -> str:
        """Return the environment in words.

        >>> Needed("3.11", (("numpy", "2.4.6"), ("scikit-learn", "1.8.0")), True).words
        'environment 07ff1eb1e6be44f1: Python 3.11, scikit-learn 1.8.0'
        """
        return f"environment {self.digest}: Python {self.python}, scikit-learn {dict(self.packages)['scikit-learn']}"


@dataclass(frozen=True)
class Environments:
    """The environments of an installation: ``data/environments``, one folder each, for its user only."""

    root: Path
    allowed: bool
    """Whether scoring may make one that is not there."""
    home: Path
    """Where the project's own modules are."""

    @classmethod
    def of(cls, settings: Settings) -> Environments:
        """Return the environments of an installation."""
        return cls(settings.data_dir / FOLDER, settings.version_environments == "allowed", settings.home)

    def python(self, needed: Needed) -> Path | None:
        """Return the Python of an environment, or None if it is not there. It is made where scoring may do that."""
        folder = self.root / needed.digest
        if not (folder / MADE).is_file():
            if not self.allowed:
                return None
            self.make(needed)
        return folder / "bin" / "python"

    def make(self, needed: Needed) -> Path:
        """Install an environment unless it is there, and return its folder, which appears whole.

        Raises ``SettingsError`` when uv is missing or does not get what it needs.
        """
        folder = self.root / needed.digest
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(self.root / f"{needed.digest}.lock"):
            if not (folder / MADE).is_file():
                for left in (folder, *self.root.glob(f"{needed.digest}.*.part")):  # of a process that was killed
                    shutil.rmtree(left, ignore_errors=True)
                part = Path(mkdtemp(dir=self.root, prefix=f"{needed.digest}.", suffix=".part"))
                try:
                    _install(needed, part)
                    (part / MADE).write_text(json.dumps({"python": needed.python, "packages": dict(needed.packages)}))
                    part.rename(folder)
                finally:
                    shutil.rmtree(part, ignore_errors=True)
        return folder

    def variables(self) -> Mapping[str, str]:
        """Return the variables of a worker: the project's modules are found, and secrets of stores are left out."""
        own = {name: value for name, value in child_environment({}).items() if not name.startswith("NIGHTSHIFT_")}
        own.pop("VIRTUAL_ENV", None)
        return {**own, **_ONE_THREAD, "PYTHONPATH": str(self.home), "PYTHONSAFEPATH": "1"}


def _install(needed: Needed, folder: Path) -> None:
    pinned = [f"{name}=={version}" for name, version in needed.packages]
    uv = _uv()
    _run(
        folder,
        [uv, "venv", "--quiet", "--allow-existing", "--relocatable", "--python", needed.python, str(folder)],
        needed,
    )
    exact = ["--no-deps"] if needed.whole else []
    _run(folder, [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *exact, *pinned], needed)


def _run(folder: Path, command: list[str], needed: Needed) -> None:
    variables = child_environment({"UV_PYTHON_DOWNLOADS": "never"})
    variables.pop("VIRTUAL_ENV", None)
    try:
        done = subprocess.run(
            command, cwd=folder, env=variables, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _not_made(needed, f"{type(error).__name__}: {error}") from error
    if done.returncode:
        raise _not_made(needed, " ".join(done.stderr.split())[-600:])


def _not_made(needed: Needed, reason: str) -> SettingsError:
    return SettingsError(
        needed.words,
        found=f"uv could not install it: {reason}",
        expected="a package index that answers, with these releases, and that Python on the machine",
        next_step="`nightshift environment JOB VERSION` on a machine that reaches one; UV_INDEX_URL names an index of your own",
    )


def _uv() -> str:
    """Return the path of uv. Raises ``SettingsError``."""
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        path = shutil.which("uv")
    if path is None:
        raise SettingsError("uv", found="it is not installed", next_step="install what requirements.txt names")
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file: the same environment is made once, and a killed process leaves it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
