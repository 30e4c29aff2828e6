"""Keeps Python's warning filters whole while several threads predict."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_NOISE = "`sklearn.utils.parallel.delayed` should be used"


@contextmanager
def warnings_of_threads() -> Iterator[None]:
    """Give a place for threads that predict with scikit-learn, which replaces the process's filters at every step.

    Before Python 3.14 two threads that do so lose them, and thousands of warnings about it follow. Afterwards the filters
    are what they were, and every other warning is given.
    """
    with warnings.catch_warnings(record=True) as records:
        warnings.filterwarnings("ignore", message=_NOISE)
        yield
    for record in records:
        if not str(record.message).startswith(_NOISE):
            warnings.warn_explicit(
                record.message, record.category, record.filename, record.lineno, source=record.source
            )
