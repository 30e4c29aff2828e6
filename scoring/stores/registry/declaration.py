"""What a version was trained with, as the job file declared it then, and the job as that version sees it now."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa

from scoring.errors import DeclarationMismatch
from scoring.job import Job
from scoring.validation import nearest

RULES = ("type", "nullable", "min", "max", "allowed", "unknown")
"""What is pinned of a feature. Its role in drift and whether it is sensitive say nothing of what a version is given."""
NUMBERS = ("bool", "int", "float")
"""Types that a pipeline is given as the same float64."""
_POSITIVE = (None, True, "1", "t", "true")
"""Ways to write the positive outcome of a binary job that mean the same."""


@dataclass(frozen=True)
class Change:
    """One thing that the job file declares otherwise than a version was trained with."""

    place: str
    trained: str
    now: str
    lasting: bool
    """Whether the version cannot be used with it at all, so that nobody can accept it."""


@dataclass(frozen=True)
class Declaration:
    """Features with their types and rules in the pipeline's order, and the outcome. Of older versions only what is on record."""

    features: Mapping[str, Mapping[str, Any]]
    label: Mapping[str, Any] | None = None
    task: str | None = None
    with_keys: bool = False
    """Whether keys may be among the features, as in versions so old that nothing says which column is one."""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the declaration that ``declared`` gave."""
        return cls(content["features"], content.get("label"), content.get("task"))

    @classmethod
    def of_golden_rows(cls, schema: pa.Schema, features: Collection[str] | None) -> Self:
        """Return what the golden rows of an older version tell: of which type its features were.

        Without ``features`` every column of them may be one; ``job_of`` leaves out those that are keys alone.
        """
        names = [name for name in features or schema.names if name in schema.names]
        return cls({name: {"type": _type_of(schema.field(name).type)} for name in names}, with_keys=not features)

    def job_of(self, job: Job) -> Job:
        """Return the job as the version sees it: its features only, in its order, under the job's rules of today.

        Features that the job has beyond these do not exist for it. Raises ``DeclarationMismatch`` for one that is gone.
        """
        gone = [name for name in self._used(job) if name not in job.features]
        if gone:
            raise self._gone(gone, job)
        return narrowed(job, self._used(job))

    def changes(self, job: Job) -> list[Change]:
        """Return what the version was not trained for: other types, wider rules, another outcome.

        A rule that got narrower is none: every row that passes it passed the version's own rules.
        """
        rules = [change for name in self._used(job) for change in self._of_feature(name, job)]
        return [*rules, *self._of_outcome(job)]

    def digest(self, job: Job) -> str:
        """Return a hash of what the job declares today of all that is pinned."""
        label = {} if job.label is None else {"column": job.label.column, "positive": job.label.positive}
        now = {name: _pinned(job, name) for name in self._used(job)}
        return hashlib.sha256(json.dumps([now, label, str(job.task)], sort_keys=True).encode()).hexdigest()[:16]

    def _used(self, job: Job) -> list[str]:
        keys = set(job.key) - set(job.features) if self.with_keys else set()
        return [name for name in self.features if name not in keys]

    def _of_feature(self, name: str, job: Job) -> Iterator[Change]:
        before, now = self.features[name], _pinned(job, name)
        lasting = before["type"] != now["type"] and not {before["type"], now["type"]} <= set(NUMBERS)
        if before["type"] != now["type"] or any(wider(before, now).values()):
            yield Change(f"features.{name}", in_words(before), in_words(now), lasting)

    def _of_outcome(self, job: Job) -> Iterator[Change]:
        trained, today = self.task, str(job.task)
        if trained is not None and trained != today:
            yield Change("task", trained, today, True)
        if self.label is None or job.label is None:
            return
        before, now = self.label, job.label.model_dump(mode="json")
        if set(before.get("classes") or []) != set(now["classes"] or []):
            yield Change("label.classes", str(before.get("classes")), str(now["classes"]), True)
        if before["column"] is None:  # made without an outcome: the first one that is declared changes nothing of it
            return
        if before["column"] != now["column"]:
            yield Change("label.column", str(before["column"]), str(now["column"]), False)
        if _positive(before.get("positive")) != _positive(now["positive"]):
            yield Change("label.positive", str(before.get("positive")), str(now["positive"]), False)

    def _gone(self, gone: list[str], job: Job) -> DeclarationMismatch:
        new = [name for name in job.features if name not in self.features]
        meant = {name: nearest(name, new) for name in gone}
        renamed = "; ".join(
            f"if {name} is called {now} today, declare it as {name} again" for name, now in meant.items() if now
        )
        declared = "; ".join(f"{name}: {in_words(self.features[name])}" for name in gone)
        return DeclarationMismatch(
            f"features of {job.name}",
            found=f"no {gone} in the job file, which declares {list(job.features)}",
            expected=f"what the version was trained with: {declared}",
            next_step=f"{renamed + '; or ' if renamed else ''}{_put_back(job)}",
        )

    def refusal(self, job: Job, changes: list[Change], version: int) -> DeclarationMismatch:
        """Return the error about changes that nobody has accepted for the version."""
        lasting = any(change.lasting for change in changes)
        accept = f"; or `nightshift accept {job.name} {version} --reason …`, if its predictions stay right"
        return DeclarationMismatch(
            f"declarations of {job.name}",
            found="; ".join(f"{change.place}: {change.now}" for change in changes),
            expected="as the version was trained: "
            + "; ".join(f"{change.place}: {change.trained}" for change in changes),
            next_step=_put_back(job) + ("" if lasting else accept),
        )


def declared(job: Job) -> dict[str, Any]:
    """Return what the job file declares of a version's rows, for JSON: key, features, label and task."""
    content: dict[str, Any] = job.model_dump(mode="json", include={"key", "features", "label", "task"})
    return content


def narrowed(job: Job, features: Sequence[str]) -> Job:
    """Return the job with these features only, in this order."""
    return job.model_copy(update={"features": {name: job.features[name] for name in features}})


def wider(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, bool]:
    """Return for each rule whether it takes values now that it did not take before. Rules that are not on record say nothing.

    >>> [rule for rule, more in wider({"type": "float", "min": 0.0, "max": None}, {"min": None, "max": 9.0}).items() if more]
    ['min']
    """
    low, high, allowed = (before.get(name) for name in ("min", "max", "allowed"))
    return {
        "nullable": before.get("nullable") is False and bool(now.get("nullable")),
        "min": low is not None and (now.get("min") is None or now["min"] < low),
        "max": high is not None and (now.get("max") is None or now["max"] > high),
        "allowed": allowed is not None and (now.get("allowed") is None or bool(set(now["allowed"]) - set(allowed))),
        "unknown": before.get("unknown") == "quarantine" and now.get("unknown") == "count",
    }


def in_words(rules: Mapping[str, Any]) -> str:
    """Return a feature's type and rules as a message shows them.

    >>> in_words({"type": "float", "nullable": True, "min": 0.0, "unknown": "count"})
    'type float, nullable, min 0'
    """
    words = [f"type {rules['type']}", *(["nullable"] if rules.get("nullable") else [])]
    words += [f"{name} {rules[name]:g}" for name in ("min", "max") if rules.get(name) is not None]
    words += [f"allowed {rules['allowed']}"] if rules.get("allowed") is not None else []
    return ", ".join([*words, *(["unknown quarantine"] if rules.get("unknown") == "quarantine" else [])])


def _pinned(job: Job, name: str) -> dict[str, Any]:
    rules: dict[str, Any] = job.features[name].model_dump(mode="json", include=set(RULES))
    return rules


def _put_back(job: Job) -> str:
    another = f"train one, `nightshift train {job.name} --until …`"
    if job.pipeline is None:
        another = f"register one, `nightshift register {job.name} --model … --trained-until …`"
    return (
        f"put it back into jobs/{job.name}.yaml and features.sql until another version is champion; or {another}, "
        "and `nightshift promote` it"
    )


def _positive(value: Any) -> Any:
    return "true" if value in _POSITIVE else str(value)


def _type_of(kind: pa.DataType) -> str:
    tests = {
        "float": pa.types.is_floating,
        "int": pa.types.is_integer,
        "bool": pa.types.is_boolean,
        "datetime": pa.types.is_timestamp,
    }
    return next((name for name, is_kind in tests.items() if is_kind(kind)), "category")
