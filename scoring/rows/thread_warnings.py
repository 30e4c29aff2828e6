"""Keeps Python's warning filters intact while several threads predict."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_NOISE = "`sklearn.utils.parallel.delayed` should be used"


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
