"""``TrainingFacts``: the facts of a version's training, in the file ``facts.json`` beside the artifact."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Any, Self

from scoring.errors import ArtifactMismatch
from scoring.interval import Nights
from scoring.job import Job
from scoring.rows import Rule


@dataclass(frozen=True, kw_only=True)
class TrainingFacts:
    """The facts of a version's training, in the order of the file. None, or empty, in older versions."""

    job: str = ""
    since: date | None = None
    until: date | None = None
    """First night that was not read."""
    rows: int | None = None
    trained_at: datetime | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    code_version: str | None = None
    features_sql_sha256: str | None = None
    labels_sql_sha256: str | None = None
    library_versions: dict[str, str] = field(default_factory=dict)
    snapshot: Any = None
    """Hash of the training snapshot. Older versions have the path of a folder, or a mapping."""
    extracted: int | None = None
    quarantined: dict[str, int] | None = None
    """Rows in quarantine, by reason."""
    recipe_sha256: str | None = None
    fitted_until: date | None = None
    """First night that the pipeline was not fitted on: ``until``, or without ``training.refit`` that before the holdout's gap."""
    evaluated_until: date | None = None
    """First night of the holdout."""
    refit: bool | None = None
    retraining_id: int | None = None
    constant: dict[str, float] | None = None
    """Loss on the holdout of the version, and of a constant."""
    decision: dict[str, Any] | None = None
    block_rows: int | None = None
    without_outcome: int | None = None
    unreadable_labels: int | None = None
    asked_until: date | None = None
    """The ``--until`` that was asked for: what the version learned from was known when this night began."""
    evaluator: str | None = None
    """What scores the version's rows as fast as it can with the pipeline's own bits: ``bitset``, or ``scikit-learn`` itself."""
    evaluator_speedup: float | None = None
    """How many times less CPU the evaluator took than scikit-learn, when the version was made."""
    evaluator_reason: str | None = None
    """Why scikit-learn itself scores."""
    declaration: dict[str, Any] | None = None
    """What the job file declared: key, features with their types and rules, label, task. See ``Declaration``."""
    seconds: float | None = None
    """CPU seconds that fitting, evaluating and proving the version took."""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the facts that ``as_json`` gave, now or in an older version. Raises ``ValueError`` for a malformed date."""
        values = {column.name: content[column.name] for column in fields(cls) if content.get(column.name) is not None}
        for name in ("since", "until", "fitted_until", "evaluated_until", "asked_until"):
            if name in values:
                values[name] = date.fromisoformat(values[name])
        if "trained_at" in values:
            values["trained_at"] = datetime.fromisoformat(values["trained_at"])
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        """Return the facts for JSON: nights and moments as ISO 8601."""
        content = {column.name: getattr(self, column.name) for column in fields(self)}
        return {name: value.isoformat() if isinstance(value, date) else value for name, value in content.items()}

    @property
    def seen(self) -> Nights:
        """Return the nights that the version was fitted on. Raises ``ArtifactMismatch`` when the facts lack them."""
        return Nights(self._night("since", self.since), self._night("until", self.fitted_until or self.until))

    @property
    def trained_until(self) -> date:
        """Return the first night that the training did not read. Raises ``ArtifactMismatch`` when the facts lack it."""
        return self._night("until", self.until)

    @property
    def holdout_from(self) -> date:
        """Return the first night of the holdout. Raises ``ArtifactMismatch`` when the facts lack it."""
        return self._night("evaluated_until", self.evaluated_until)

    def rule(self, job: Job) -> Rule:
        """Return how the version's rows are scored. A version without a rule keeps the decision of that time."""
        content = {} if self.decision is None else {"decision": self.decision, "block_rows": self.block_rows}
        return Rule.of_facts(content, job)

    @property
    def scored_by(self) -> str:
        """Return in words what scores the version's rows.

        >>> TrainingFacts(evaluator="bitset", evaluator_speedup=4.9).scored_by
        'bitset, 4.9 times as fast as scikit-learn'
        """
        if self.evaluator_speedup is not None:
            return f"{self.evaluator}, {self.evaluator_speedup:.1f} times as fast as scikit-learn"
        return f"scikit-learn ({self.evaluator_reason or 'the version is older than evaluators'})"

    def names_snapshot(self, digest: str) -> bool:
        """Return whether the version was trained on the snapshot ``digest``, in whatever form the facts name it."""
        return digest in json.dumps(self.snapshot)

    def _night(self, name: str, night: date | None) -> date:
        if night is None:
            raise ArtifactMismatch(
                f"facts.json of a model version of {self.job or 'a job'}",
                found=f"no {name!r}",
                expected="a night",
                next_step="train a new version",
            )
        return night
