"""The packages that a version's pipeline needs, with their exact versions, as they were when it was made."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from types import ModuleType
from typing import Any

BASE = ("scikit-learn", "numpy", "scipy", "joblib", "pandas", "pyarrow", "threadpoolctl")
"""What every version is opened and fed with."""


_NAME = re.compile(r"[\w.-]+")


def packages_of(pipeline: Any) -> dict[str, str]:
    """Return the packages that a fitted pipeline needs, and all that these require, with the versions installed here.

    They are those of the classes and functions in it, and of the modules that the project's own code among them uses.
    """
    by_module = metadata.packages_distributions()
    tops = _tops(_modules_in(pipeline), set(by_module))
    return closure([*BASE, *(name for top in tops for name in by_module.get(top, ()))])


def closure(names: Iterable[str]) -> dict[str, str]:
    """Return installed packages and all that they require on this machine, with their versions, by name.

    >>> {"numpy", "scipy", "joblib"} <= set(closure(["scikit-learn"]))
    True
    """
    versions: dict[str, str] = {}
    waiting = [_plain(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in versions:
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # required on other systems, or by other releases of Python
            continue
        versions[name] = distribution.version
        needed = [text.partition(";") for text in distribution.requires or ()]
        waiting += [_plain(_NAME.match(text)[0]) for text, _, marker in needed if "extra" not in marker]  # type: ignore[index]
    return dict(sorted(versions.items()))


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


class _Nothing(io.RawIOBase):
    def write(self, data: Any) -> int:
        return len(data)


def _modules_in(pipeline: Any) -> set[str]:
    """Return the modules of every class and function that pickling a pipeline meets. Nothing is kept of the bytes."""
    from joblib.numpy_pickle import NumpyPickler

    names = set[str]()

    class Modules(NumpyPickler):  # type: ignore[misc]
        def persistent_id(self, obj: Any) -> None:
            module = getattr(obj if isinstance(obj, type) or callable(obj) else type(obj), "__module__", None)
            if isinstance(module, str):
                names.add(module)

    with suppress(Exception):  # a model that has no pickle, such as one of ONNX: its own modules were met before that
        Modules(_Nothing()).dump(pipeline)
    return names


def _tops(names: Iterable[str], installed: set[str]) -> set[str]:
    """Return the names that modules begin with. In place of the project's own modules stand those that they use."""
    tops, seen, waiting = set[str](), set[str](), list(names)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        top, module = name.partition(".")[0], sys.modules.get(name)
        if top in installed or top in sys.stdlib_module_names or module is None:
            tops.add(top)
            continue
        values = list(vars(module).values())
        used = [
            value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None) for value in values
        ]
        waiting += [other for other in used if isinstance(other, str)]
    return tops
