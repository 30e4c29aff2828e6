"""Describes an error in the user's code: a sentence, the file and line, and the step of the pipeline."""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

LONGEST = 300
"""Characters of a library's error message that are shown. The rest is cut off."""
_HERE = str(Path(__file__).parent)
_NOT_THEIRS = tuple({_HERE, *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))})
_LIBRARIES = ("site-packages", "dist-packages")


def words_of(error: BaseException) -> str:
    """Return an error's type and text in one line, without addresses and without a traceback inside the text.

    >>> words_of(ValueError("no such\\n  column"))
    'ValueError: no such column'
    """
    text = str(error)
    inner = text.find("Traceback (most recent call last)")
    if inner >= 0:  # scikit-learn's searches quote those of their fits: the last line says what went wrong
        first = re.split(r"\n|:\n|-{5,}", text[:inner].strip())[0]
        text = f"{first} {text.strip().splitlines()[-1]}"
    if isinstance(error, SyntaxError):
        text = f"{error.msg}: {(error.text or '').strip()}" if error.text else error.msg
    text = " ".join(re.sub(r" at 0x[0-9a-fA-F]+", "", text).split())
    short = text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
    name = type(error).__name__
    return f"{name}: {short}" if short else name


def place_of(error: BaseException) -> str:
    """Return the file and line of the user's code in which an error arose, or an empty text for errors elsewhere."""
    if isinstance(error, SyntaxError) and error.filename:
        return place(error.filename, error.lineno or 0)
    theirs = [(frame.f_code.co_filename, line) for frame, line in _frames(error) if is_theirs(frame.f_code.co_filename)]
    return place(*theirs[-1]) if theirs else ""


def place(filename: str, line: int) -> str:
    """Return a file with its folder, and a line, for a message.

    >>> place("/srv/shop/jobs/late.py", 12)
    'jobs/late.py line 12'
    """
    return f"{'/'.join(Path(filename).parts[-2:])} line {line}"


def is_theirs(filename: str) -> bool:
    """Return whether a source file is neither ours, nor Python's, nor a library's."""
    library = filename.startswith(_NOT_THEIRS) or any(part in _LIBRARIES for part in Path(filename).parts)
    return not (library or filename.startswith("<"))


def step_of(pipeline: Any, error: BaseException) -> str:
    """Return the innermost step of a pipeline in which an error arose, by name and class, or an empty text.

    Composites fit copies of some steps, so a step is recognised by itself, or by its class where only one step has it.
    """
    steps = dict(steps_of(pipeline))
    step = ""
    for frame, _ in _frames(error):
        owner = frame.f_locals.get("self")
        if owner is None or owner is pipeline or not hasattr(owner, "get_params"):
            continue
        same = [name for name, estimator in steps.items() if estimator is owner]
        alike = [name for name, estimator in steps.items() if type(estimator) is type(owner)]
        names = same or (alike if len(alike) == 1 else [])
        kind = type(owner).__name__
        if names or not step:
            step = f"{names[0]} ({kind})" if names else kind
    return step


def steps_of(pipeline: Any) -> list[tuple[str, Any]]:
    """Return the estimators inside a pipeline with their names, outer ones first."""
    try:
        inside = pipeline.get_params(deep=True)
    except Exception:  # noqa: BLE001  a pipeline of one's own may have no such thing; then it has no steps to name
        return []
    return [(name, value) for name, value in inside.items() if hasattr(value, "fit") or hasattr(value, "transform")]


def _frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    """Yield the frames of an error and of what caused it, the outermost first, with the line of each."""
    causes = [error]
    while (cause := causes[-1].__cause__) is not None and cause not in causes:
        causes.append(cause)
    for failure in causes:
        here = failure.__traceback__
        while here is not None:
            yield here.tb_frame, here.tb_lineno
            here = here.tb_next
