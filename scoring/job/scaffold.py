"""Writes the files of a new job: yaml, pipeline, SQL and a test."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from pathlib import Path

from scoring.errors import JobFileError
from scoring.job.definition import Kind
from scoring.names import JOB_PATTERN, SOURCE_PATTERN
from scoring.private_files import open_like_its_folder
from scoring.settings import Settings
from scoring.validation import PATTERNS

TABLE_OF_ITS_OWN = "another name, for both need a table <job>_shadow_predictions"
_TEMPLATES = Path(__file__).parent / "templates"
_OF_SNAPSHOTS = ("job.yaml", "features.sql", "labels.sql")
"""Templates that a snapshot has of its own."""


def new_job(
    settings: Settings,
    name: str,
    source: str = "demo",
    texts: Mapping[str, str] | None = None,
    *,
    kind: Kind = "events",
    write: bool = True,
) -> list[Path]:
    """Write the files of job ``name`` and return their paths. Raises ``JobFileError`` rather than overwrite one.

    ``texts`` are written in place of templates, by their names. Without ``write`` it is only seen whether all is well.
    """
    for what, value, pattern in (("job name", name, JOB_PATTERN), ("source name", source, SOURCE_PATTERN)):
        if not re.fullmatch(pattern.removesuffix("$"), value):
            raise JobFileError(what, found=repr(value), expected=PATTERNS[pattern])
    if keyword.iskeyword(name):
        raise JobFileError("job name", found=repr(name), expected="no keyword of Python, for it names a module")
    for rival in (f"{name}_shadow", name.removesuffix("_shadow")):
        if rival != name and (settings.jobs_dir / f"{rival}.yaml").exists():
            raise JobFileError("job name", found=f"{name!r} beside a job {rival!r}", expected=TABLE_OF_ITS_OWN)
    tests = settings.jobs_dir.parent / "tests" / "jobs"
    files = {
        settings.jobs_dir / f"{name}.yaml": "job.yaml",
        settings.jobs_dir / f"{name}.py": "pipeline.py.txt",
        settings.sql_path(name, "features"): "features.sql",
        settings.sql_path(name, "labels"): "labels.sql",
        tests / f"test_{name}.py": "test_job.py.txt",
    }
    existing = [str(path) for path in files if path.exists()]
    if existing:
        raise JobFileError(f"new job {name}", found=f"files that exist: {existing}", next_step="choose another name")
    for path, template in files.items() if write else ():
        text = (texts or {}).get(template) or _filled(
            _template(template, kind).read_text("utf-8"), template, name, source
        )
        if not path.parent.exists():
            path.parent.mkdir(parents=True)
            open_like_its_folder(path.parent)
        path.write_text(text, encoding="utf-8")
        open_like_its_folder(path)
    return list(files)


def _template(name: str, kind: Kind) -> Path:
    """Return the template of a file, of a snapshot where it has one of its own."""
    return _TEMPLATES / kind / name if kind == "snapshot" and name in _OF_SNAPSHOTS else _TEMPLATES / name


def _filled(text: str, template: str, name: str, source: str) -> str:
    if template.endswith(".sql"):
        return text
    return text.format(name=name, source=source, SOURCE=source.upper())
