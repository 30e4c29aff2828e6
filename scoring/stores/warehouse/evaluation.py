"""``Evaluation``: the comparison of a challenger with the champion on the same holdout rows, as on a model card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any, Self

_LATER = ("worse_calibrated", "refits", "since_change", "proven")
"""What cards from before do not have."""
Metrics = dict[str, dict[str, float | None]]
"""Value, low and high of each metric, by its name."""


@dataclass(frozen=True)
class ComparedVersion:
    """One side of the comparison, and the nights (since, fitted_until) that it was fitted on, half-open."""

    version: int
    sha256: str
    since: date
    fitted_until: date

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the version from the JSON of a card."""
        nights = {name: date.fromisoformat(content[name]) for name in ("since", "fitted_until")}
        return cls(content["version"], content["sha256"], **nights)


@dataclass(frozen=True)
class Holdout:
    """The nights on which the versions were compared, which neither version was fitted on."""

    first: date | None
    last: date | None
    nights: int
    of_nights: int
    """Nights of the holdout before those were dropped that a version was fitted on."""
    rows: int
    gap: int = 0
    """Nights that lie at least between those fitted on and these: the label's horizon."""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the holdout from the JSON of a card."""
        ends = {name: date.fromisoformat(content[name]) if content[name] else None for name in ("first", "last")}
        return cls(**{**content, **ends})


@dataclass(frozen=True)
class Gain:
    """How much smaller the challenger's mean loss is than the champion's, with its interval."""

    nights: int
    rows: int
    champion: float | None
    challenger: float | None
    value: float | None
    low: float | None
    high: float | None
    confidence: float

    @property
    def share(self) -> float | None:
        """Return the lower end as a share of the champion's loss."""
        return self.low / self.champion if self.low is not None and self.champion else None


@dataclass(frozen=True)
class NightLosses:
    """One night of the holdout: its rows, and the loss of both versions summed over them."""

    night: date
    rows: int
    champion: float
    challenger: float
    groups: list[list[float]] | None = None
    """Of a snapshot job: rows, and the champion's loss less the challenger's, by group of entities."""

    @property
    def means(self) -> tuple[float, float] | tuple[None, None]:
        """Return the mean loss of the champion and of the challenger, or None without rows."""
        return (self.champion / self.rows, self.challenger / self.rows) if self.rows else (None, None)


@dataclass(frozen=True)
class NightLoss:
    """What a fit lost on one night that it had not seen: labelled rows, and the loss summed over them."""

    rows: int
    loss: float
    groups: list[list[float]] | None = None
    """Of a snapshot job: rows and losses by group of entities."""


@dataclass(frozen=True)
class Block:
    """A stretch of nights after a refit, and how much less it lost on them than an older fit, in the loss's unit per row."""

    refit_version: int | None
    """None for a fit that was made only to learn what refitting gains."""
    refit_until: date
    """First night that the newer fit was not fitted on."""
    against_version: int | None
    against_until: date
    first: date
    last: date
    nights: int
    rows: int
    gain: float
    error: float
    """Standard error of ``gain``: nights are drawn, not rows."""
    scaled: float | None = None
    """``gain`` as it would be between versions as far apart as challenger and champion."""
    scaled_error: float | None = None
    """Standard error of ``scaled``, larger for stretches of long ago."""
    weight: float | None = None
    """Share that the stretch has in the pooled mean. The prior has the rest."""

    @property
    def age(self) -> int:
        """Return how many nights lie between the two fits."""
        return (self.refit_until - self.against_until).days

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the stretch from the JSON of a card."""
        names = ("refit_until", "against_until", "first", "last")
        return cls(**{**content, **{name: date.fromisoformat(content[name]) for name in names}})


GROWTH_NIGHTS = 60
"""Nights of age up to which a refit's gain is taken to grow in proportion."""


def growth(age: float) -> float:
    """Return the gain of a refit over a version so many nights old, up to a factor.

    >>> [growth(age) for age in (15, 60, 200)]
    [15, 60, 60]
    """
    return min(max(age, 1), GROWTH_NIGHTS)


@dataclass(frozen=True)
class Pooled:
    """What all stretches together say of a refit's gain over a champion of some age: a normal distribution."""

    age: int
    """Nights between challenger and champion."""
    mean: float
    sd: float
    prior_sd: float
    """Standard deviation of the prior, whose mean is 0."""
    between_sd: float
    """How far the gain differs from stretch to stretch beyond chance."""
    blocks: list[Block]

    def gain_over(self, age: float) -> float:
        """Return the mean gain that is expected of a refit over a version so many nights older."""
        return self.mean * growth(age) / growth(self.age)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return it from the JSON of a card."""
        return cls(**{**content, "blocks": [Block.from_json(block) for block in content["blocks"]]})


@dataclass(frozen=True)
class Segment:
    """The rows with one value of a declared column, and the mean loss of both versions on them."""

    column: str
    value: Any
    champion: float | None
    """None without a champion."""
    rows: int
    challenger: float

    @property
    def worse(self) -> float | None:
        """Return how much larger the challenger's loss is, as a share of the champion's, or None without one."""
        return self.challenger / self.champion - 1 if self.champion else None


@dataclass(frozen=True)
class SinceChange:
    """The second judged fit: on the nights until the middle of those since the outcome began to depend on the features in
    another way, judged on the rest."""

    changed_on: date
    block: Block
    metrics: dict[str, Metrics]
    segments: list[Segment]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return it from the JSON of a card."""
        changed_on, block = date.fromisoformat(content["changed_on"]), Block.from_json(content["block"])
        return cls(changed_on, block, content["metrics"], [Segment(**segment) for segment in content["segments"]])


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The metrics of two versions on the same rows, for the promotion gate and the model card.

    Mappings have the keys ``challenger``, and ``champion`` if there is a champion.
    """

    challenger: ComparedVersion
    champion: ComparedVersion | None
    """None for a first version."""
    holdout: Holdout
    loss: str
    """Name of the loss by which the versions are compared. Smaller is better."""
    metrics: dict[str, Metrics]
    gain: Gain | None
    by_night: list[NightLosses]
    segments: list[Segment]
    calibration: dict[str, list[dict[str, float]]]
    latency: dict[str, float]
    """CPU seconds per million rows."""
    size: dict[str, float]
    """Megabytes of the artifact."""
    constant: dict[str, float] | None = None
    """Loss on the holdout of the challenger, and of a constant."""
    importance: dict[str, float] = field(default_factory=dict)
    worse_calibrated: dict[str, float | None] | None = None
    """How much larger the challenger's calibration error is, with its 95 % interval: nights are drawn for both at once."""
    refits: Pooled | None = None
    """What refitting has gained so far, this comparison included."""
    since_change: SinceChange | None = None
    """Another comparison, where the outcome is known to depend on the features in another way since some night."""
    proven: Block | None = None
    """The judged fit against the last champion that was proven to be better, on the holdout, if that is not the champion."""

    def as_json(self) -> dict[str, Any]:
        """Return the evaluation for JSON, as it stands in a model card."""
        content: dict[str, Any] = _plain(asdict(self))
        for night in content["by_night"]:
            if night["groups"] is None:
                del night["groups"]
        if not self.holdout.gap:
            del content["holdout"]["gap"]
        return {name: value for name, value in content.items() if value is not None or name not in _LATER}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the evaluation that ``as_json`` gave, now or in an older version."""
        champion, gain = content["champion"], content["gain"]
        refits, change, proven = (content.get(name) for name in ("refits", "since_change", "proven"))
        nights = [{**night, "night": date.fromisoformat(night["night"])} for night in content["by_night"]]
        return cls(
            challenger=ComparedVersion.from_json(content["challenger"]),
            champion=ComparedVersion.from_json(champion) if champion is not None else None,
            holdout=Holdout.from_json(content["holdout"]),
            loss=content["loss"],
            metrics=content["metrics"],
            gain=Gain(**gain) if gain is not None else None,
            by_night=[NightLosses(**night) for night in nights],
            segments=[Segment(**segment) for segment in content["segments"]],
            calibration=content["calibration"],
            latency=content["latency"],
            size=content["size"],
            constant=content.get("constant"),
            importance=content.get("importance", {}),
            worse_calibrated=content.get("worse_calibrated"),
            refits=Pooled.from_json(refits) if refits is not None else None,
            since_change=SinceChange.from_json(change) if change is not None else None,
            proven=Block.from_json(proven) if proven is not None else None,
        )


def _plain(value: Any) -> Any:
    """Return a value for JSON, its dates as ISO 8601."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value.isoformat() if isinstance(value, date) else value
