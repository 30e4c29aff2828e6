"""Finds the function that makes a job's pipeline, and reports its errors with file and line."""

from __future__ import annotations

import functools
import importlib.util
import re
import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scoring.errors import JobFileError
from scoring.job.faults import place_of, words_of

PACKAGES = {
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
    "cv2": "opencv-python-headless",
    "PIL": "Pillow",
    "bs4": "beautifulsoup4",
    "dateutil": "python-dateutil",
    "imblearn": "imbalanced-learn",
    "skimage": "scikit-image",
}
"""Names of packages on PyPI whose module has another name, by that name."""
EXPECTED = "an unfitted scikit-learn Pipeline"


def factory_of(job: str, path: str | None, methods: Sequence[str] = ("predict",)) -> Callable[[], Any]:
    """Return the function that ``path`` (``module:function``) of a job file names, with a check of its result.

    Raises ``JobFileError`` when the path leads nowhere or its module fails. The returned function raises it when the
    user's function fails, or returns an object that cannot be fitted, or has none of ``methods``.
    """
    if path is None:
        raise JobFileError(
            _where(job),
            found="none: versions of the job come from elsewhere",
            expected=f"module:function that returns {EXPECTED}",
            next_step=f"`nightshift register {job} --model …`, or give the job a pipeline",
        )
    module, _, name = path.partition(":")
    _refuse_library(job, path)
    try:
        factory = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:  # whatever a user's module raises is its own: named and raised again
        raise _not_imported(job, path, error) from error
    if not callable(factory):
        raise JobFileError(
            _where(job),
            found=f"{path!r} is a {type(factory).__name__}, not a function",
            expected=f"a function that returns {EXPECTED}",
            next_step=f"write it as `def {name}():`",
        )

    @functools.wraps(factory)
    def make() -> Any:
        try:
            pipeline = factory()
        except (Exception, SystemExit) as error:  # as above
            raise _failed(job, path, error) from error
        return _require_estimator(job, path, pipeline, methods)

    return make


def _refuse_library(job: str, path: str) -> None:
    """Raise ``JobFileError`` for a module of Python or of an installed library: ``os:system`` is no pipeline."""
    top = re.split(r"[.:]", path)[0]
    spec = importlib.util.find_spec(top)
    origin = "built-in" if spec is not None and top in sys.builtin_module_names else spec and spec.origin
    places = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    if origin in ("built-in", "frozen") or (origin and places & set(Path(origin).parents)):
        raise JobFileError(
            _where(job),
            found=f"{path!r}, and {top} is a library",
            expected=f"a function of the project that returns {EXPECTED}",
            next_step="write it in jobs/, importing what it needs",
        )


def _where(job: str) -> str:
    return f"jobs/{job}.yaml: pipeline"


def _at(error: BaseException) -> str:
    where = place_of(error)
    return f" ({where})" if where else ""


def _not_imported(job: str, path: str, error: BaseException) -> JobFileError:
    module, _, name = path.partition(":")
    missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
    nowhere = missing is not None and f"{module}.".startswith(f"{missing}.")
    if nowhere or (isinstance(error, AttributeError) and not place_of(error)):
        fault, next_step = str(error), f"write {name} in {module.replace('.', '/')}.py"
    elif missing is not None and missing.partition(".")[0] != module.partition(".")[0]:
        package = PACKAGES.get(missing.partition(".")[0], missing.partition(".")[0])
        fault = f"{error}{_at(error)}"
        next_step = f"add {package} to requirements.in, then `make lock`; the next make installs it, and it stays"
    else:
        fault, next_step = f"{words_of(error)}{_at(error)}", f"correct {module.replace('.', '/')}.py"
    return JobFileError(
        _where(job),
        found=f"{path!r} ({fault})",
        expected=f"module:function that returns {EXPECTED}",
        next_step=next_step,
    )


def _failed(job: str, path: str, error: BaseException) -> JobFileError:
    name = path.partition(":")[2]
    return JobFileError(
        _where(job),
        found=f"{path!r} fails: {words_of(error)}{_at(error)}",
        expected=f"a function without arguments that returns {EXPECTED}",
        next_step=f"correct {name}",
    )


def _require_estimator(job: str, path: str, pipeline: Any, methods: Sequence[str]) -> Any:
    """Return the pipeline, or raise ``JobFileError`` when it is a class or has no ``fit`` and ``predict``."""
    if isinstance(pipeline, type):
        result, next_step = f"the class {pipeline.__name__}", f"return {pipeline.__name__}(), an object of it"
    elif not hasattr(pipeline, "fit") or not any(hasattr(pipeline, name) for name in methods):
        lacks = [name for name in ("fit",) if not hasattr(pipeline, name)]
        lacks += [] if any(hasattr(pipeline, name) for name in methods) else [" or ".join(methods)]
        result, next_step = f"a {type(pipeline).__name__}", f"return an object with {' and '.join(lacks)}"
        if pipeline is None:
            next_step = "end the function with `return pipeline`"
    else:
        return pipeline
    raise JobFileError(_where(job), found=f"{path!r} returns {result}", expected=EXPECTED, next_step=next_step)
