"""The tree of failures, and what their messages say."""

from __future__ import annotations

import inspect
import re

import pytest

from scoring import errors
from scoring.errors import EmptyNight, NightshiftError, Permanent, Retryable

LEAVES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, Exception) and kind not in (NightshiftError, Permanent, Retryable)
]


def test_docstring_draws_every_error():
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert sorted(drawn) == sorted([*(kind.__name__ for kind in LEAVES), "Permanent", "Retryable"])


def test_docstring_draws_each_error_under_its_branch():
    drawn: dict[str, str] = {}
    branch = ""
    for name in re.findall(r"[├└]── (\w+)", errors.__doc__ or ""):
        branch = name if name in ("Retryable", "Permanent") else branch
        drawn[name] = branch
    assert {kind.__name__: kind.__bases__[0].__name__ for kind in LEAVES} == {
        name: branch for name, branch in drawn.items() if name != branch
    }


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
def test_every_error_says_whether_a_retry_helps(kind):
    assert issubclass(kind, Retryable) != issubclass(kind, Permanent)
    assert kind("something").retryable is issubclass(kind, Retryable)
    assert kind.__doc__


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "night"),
        ({"found": "0 rows"}, "night: found 0 rows"),
        ({"expected": "1 row"}, "night: expected 1 row"),
        ({"found": "0 rows", "expected": "1 row"}, "night: found 0 rows; expected 1 row"),
        ({"next_step": "look."}, "night. Next: look."),
        ({"found": "a full stop.", "next_step": "look"}, "night: found a full stop. Next: look."),
        ({"found": "x", "expected": "y", "next_step": "z"}, "night: found x; expected y. Next: z."),
    ],
)
def test_message_says_found_expected_and_next_step(parts, message):
    assert str(EmptyNight("night", **parts)) == message


def test_message_survives_being_wrapped_in_the_same_error():
    first = EmptyNight("night", found="0 rows", next_step="look")
    assert str(EmptyNight(str(first))) == str(first)
