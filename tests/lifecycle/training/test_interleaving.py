"""One call with another in between, and the warnings of threads."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass

import pytest

from lifecycle.training import interleaving
from lifecycle.training.interleaving import interleaved
from scoring.rows.threads import warnings_of_threads
from scoring.stores.registry import VersionRef


@dataclass
class Own:
    """Its ``__init__`` is made of a text, in which there is one line."""

    number: int


def test_other_call_runs_before_each_line_once():
    seen: list[str] = []

    def call() -> list[int]:
        mine = []
        for _ in range(3):
            mine.append(len(seen))
        return mine

    assert interleaved(call, lambda: seen.append("here")) == [3, 3, 3]
    assert len(seen) == 4


def test_other_call_runs_in_another_thread():
    threads: set[int] = set()
    here = interleaved(threading.get_ident, lambda: threads.add(threading.get_ident()))
    assert here not in threads


def test_methods_that_are_made_of_a_text_are_of_the_module_of_their_class():
    seen: list[str] = []
    interleaved(lambda: VersionRef("toy", 1, "", ""), lambda: seen.append("before the lambda"))
    assert len(seen) == 1
    interleaved(lambda: Own(1), lambda: seen.append("before the lambda, and in __init__"))
    assert len(seen) == 3


def test_other_call_that_waits_for_a_lock_of_the_first_ends_after_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(interleaving, "PATIENCE_SECONDS", 0.05)
    lock = threading.Lock()
    done: list[str] = []

    def call() -> str:
        with lock:
            done.append("first")
            return "first"

    def other() -> None:
        with lock:
            done.append("other")

    assert interleaved(call, other) == "first"
    assert done[0] == "other"
    assert done[-1] == "other"
    assert "first" in done


def test_error_of_the_other_call_is_raised():
    def call() -> int:
        number = 1
        return number

    with pytest.raises(ZeroDivisionError):
        interleaved(call, lambda: 1 / 0)


def test_warnings_of_threads_keeps_the_filters_and_every_warning_but_the_noise():
    before = list(warnings.filters)
    with pytest.warns(UserWarning, match="mine") as seen, warnings_of_threads():
        warnings.resetwarnings()
        warnings.warn("`sklearn.utils.parallel.delayed` should be used with", UserWarning, stacklevel=1)
        warnings.warn("mine", UserWarning, stacklevel=1)
    assert [str(one.message) for one in seen] == ["mine"]
    assert list(warnings.filters) == before
