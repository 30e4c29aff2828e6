"""Several threads that predict side by side: each uses one core, and Python's warning filters stay intact."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

_NOISE = "`sklearn.utils.parallel.delayed` should be used"


def one_thread() -> AbstractContextManager[Any]:
    """Return a context in which the loaded OpenMP libraries use no other thread than the calling one."""
    from threadpoolctl import ThreadpoolController

    limits: AbstractContextManager[Any] = ThreadpoolController().limit(limits=1, user_api="openmp")
    return limits


@contextmanager
def warnings_of_threads() -> Iterator[None]:
    """Hold back scikit-learn's warnings about threads while several threads predict.

    scikit-learn replaces the process's warning filters at every step. Before Python 3.14 two threads that do so lose the
    filters, and thousands of warnings follow. Afterwards the filters are restored, and every other warning is given.
    """
    with warnings.catch_warnings(record=True) as records:
        warnings.filterwarnings("ignore", message=_NOISE)
        yield
    for record in records:
        if not str(record.message).startswith(_NOISE):
            warnings.warn_explicit(
                record.message, record.category, record.filename, record.lineno, source=record.source
            )
