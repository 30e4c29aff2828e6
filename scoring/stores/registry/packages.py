"""The packages that a version's pipeline needs, with their exact versions, as they were when it was made."""

from __future__ import annotations

import io
import pickle
import re
import sys
from collections.abc import Iterable
from importlib import metadata
from types import ModuleType
from typing import Any

BASE = ("scikit-learn", "numpy", "scipy", "joblib", "pandas", "pyarrow", "threadpoolctl")
"""What every version is opened and fed with."""


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
    from packaging.requirements import Requirement

    versions: dict[str, str] = {}
    waiting = [_plain(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in versions:
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # an extra that is not installed, or a package under another name
            continue
        versions[name] = distribution.version
        needed = [Requirement(text) for text in distribution.requires or ()]
        waiting += [_plain(need.name) for need in needed if need.marker is None or need.marker.evaluate({"extra": ""})]
    return dict(sorted(versions.items()))


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


class _Modules(pickle.Pickler):
    """Pickles into nothing, and collects the modules of every class and function that it meets."""

    def __init__(self) -> None:
        super().__init__(_Nothing())
        self.names: set[str] = set()

    def persistent_id(self, obj: Any) -> None:
        """Collect the module of an object, or of its class."""
        module = getattr(obj if isinstance(obj, type) or callable(obj) else type(obj), "__module__", None)
        if isinstance(module, str):
            self.names.add(module)


class _Nothing(io.RawIOBase):
    def write(self, data: Any) -> int:
        return len(data)


def _modules_in(pipeline: Any) -> set[str]:
    modules = _Modules()
    modules.dump(pipeline)
    return modules.names


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
