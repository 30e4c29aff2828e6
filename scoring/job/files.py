"""Reads job files: one, all of a folder, or one with changed settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from scoring.errors import JobFileError
from scoring.job.definition import Job
from scoring.job.yaml_text import read, read_mapping
from scoring.validation import nearest, sentences


def load_job(path: Path) -> Job:
    """Return the job that ``path`` describes.

    Raises ``JobFileError`` that names the file, the path in the file, what was found and what was expected.
    """
    content = read_mapping(path)
    job = _validated(content, path.name)
    if job.name != path.stem:
        raise JobFileError(f"{path.name}: name", found=repr(job.name), expected=f"{path.stem!r}, as the file is called")
    _refuse_rival(path)
    return job


def parsed_job(text: str, name: str) -> Job:
    """Return the job that the text of a job file describes. ``name`` is the file's, for ``JobFileError``."""
    return _validated(read(text, name), name)


def _refuse_rival(path: Path) -> None:
    """Raise ``JobFileError`` for a job ``x_shadow`` beside a job ``x``: both would need a table of the same name."""
    rival = path.with_name(f"{path.stem.removesuffix('_shadow')}.yaml")
    if rival != path and rival.exists():
        table = f"{path.stem}_predictions"
        raise JobFileError(
            f"{path.name}: name",
            found=f"{path.stem!r} beside {rival.name}, which needs the table {table} as well",
            expected="another name",
            next_step="rename one of the two jobs",
        )


def changed_job(job: Job, changes: list[str]) -> Job:
    """Return the job with some settings replaced, such as ``retraining.cooldown_nights=7``, validated again.

    Only settings of monitoring, retraining and features can be changed. Raises ``JobFileError`` for others.
    """
    content = job.model_dump(mode="json", exclude_unset=True)
    for change in changes:
        path, sign, value = change.rpartition("=")  # the name of a column may have one too, and dots
        section, _, rest = path.partition(".")
        folder, _, name = rest.rpartition(".")
        if not sign or section not in ("monitor", "retraining", "features"):
            expected = "monitor.…=…, retraining.…=… or features.<column>.drift=…"
            raise JobFileError("a changed setting", found=repr(change), expected=expected)
        place = content.setdefault(section, {})
        if folder:
            place = place.setdefault(folder, {})
        place[name] = read(value, f"the value of {path}")
    return _validated(content, f"{job.name} with {changes}")


def _validated(content: dict[str, Any], name: str) -> Job:
    """Return the job. Raises ``JobFileError`` with all problems of the file, each on a line of its own."""
    try:
        return Job.model_validate(content)
    except ValidationError as error:
        problems = sentences(error, Job)
    if len(problems) == 1:
        raise JobFileError(f"{name}: {problems[0]}")
    raise JobFileError(f"{name}: found {len(problems)} problems\n  - " + "\n  - ".join(problems))


def load_jobs(folder: Path, name: str = "*") -> tuple[list[Job], dict[str, JobFileError]]:
    """Return all valid jobs of ``folder``, or the one ``name``, and the error of each file that is not valid, by its stem."""
    jobs: list[Job] = []
    broken: dict[str, JobFileError] = {}
    for path in sorted(folder.glob(f"{name}.yaml")):
        try:
            jobs.append(load_job(path))
        except JobFileError as error:
            broken[path.stem] = error
    return jobs, broken


def find_job(folder: Path, name: str) -> Job:
    """Return the job ``name`` of ``folder``. Raises ``JobFileError`` that lists the existing jobs."""
    names = [path.stem for path in sorted(folder.glob("*.yaml"))]
    if name in names:
        return load_job(folder / f"{name}.yaml")
    meant = nearest(name, names)
    new = f"nightshift new-job {name}"
    raise JobFileError(
        "job",
        found=repr(name),
        expected=f"one of {names}",
        next_step=f"did you mean {meant}? If not: {new}" if meant else new,
    )
