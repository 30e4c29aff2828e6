"""Verdicts + performance + history → ``retrain``, ``hold`` or ``none``, and why, as of one night."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from typing import Any, Literal

from scoring.job import RetrainingPolicy

Choice = Literal["retrain", "hold", "none"]
BUDGET_NIGHTS = 30
"""Nights over which ``retraining.budget`` counts retrainings."""
LASTING = (3, 5)
"""Drift is lasting when it was there on 3 of the last 5 nights, the judged one included."""
NOT_EVALUATED = "not evaluated: backfill"
PROVISIONAL = "not evaluated: the night had not ended when it was scored"


@dataclass(frozen=True)
class Loss:
    """How much worse the version does on measured nights than on its holdout."""

    metric: str
    nights: int
    value: float | None
    low: float | None
    high: float | None
    at_training: float | None
    allowed: float
    """The loss that is tolerated, in the unit of the metric."""

    @property
    def established(self) -> bool:
        """Return whether the whole interval lies above ``allowed``."""
        return self.low is not None and self.low > self.allowed


@dataclass(frozen=True)
class Facts:
    """What was known at the end of a night's interval. Nothing of what came later is in it."""

    night: date
    origin: str
    model_version: int
    trained_until: date
    new_labelled_nights: int
    """Nights with matured labels that the version was not trained on, and whose outcomes overlap none that it was."""
    verdict: str | None
    faults: Sequence[str] = ()
    drifted_weights: Sequence[float] = ()
    """Share of the importance that had drifted on the last nights, newest last, this night included."""
    drifted_columns: Sequence[str] = ()
    loss: Loss | None = None
    retrained: Sequence[date] = ()
    """Nights on which a retraining was decided."""
    trained_on: date | None = None
    """Night at whose end the last label of the training was known: later than ``trained_until`` where labels come late."""
    nights_to_compare: int = 0
    """New nights below which a challenger's comparison has learned nothing that the champion has not, where outcomes overlap."""
    running: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the facts for JSON."""
        content = asdict(self)
        days = {"night": str(self.night), "trained_until": str(self.trained_until)}
        days |= {} if self.trained_on is None else {"trained_on": str(self.trained_on)}
        return {**content, **days, "retrained": [str(night) for night in self.retrained]}


@dataclass(frozen=True)
class Decision:
    """What the governor decided, and why."""

    decision: Choice
    reason: str
    evidence: list[str] = field(default_factory=list)


def decide(facts: Facts, policy: RetrainingPolicy) -> Decision:
    """Return the decision for a night: ``none`` without a reason to retrain, ``hold`` when something forbids it.

    A measured loss of performance comes first, then drift that lasts on columns that matter, then age. Broken data is
    never trained on; there is a cooldown, a budget, and no second retraining while one runs.
    """
    if facts.origin == "backfill":
        return Decision("none", NOT_EVALUATED)
    if facts.origin == "provisional":
        return Decision("none", PROVISIONAL)
    if not policy.enabled:
        return Decision("none", "retraining is switched off in the job file")
    evidence = [reason for reason in (_loss(facts), _drift(facts, policy), _age(facts, policy)) if reason]
    if not evidence:
        return Decision("none", _all_is_well(facts))
    forbidden = _forbidden(facts, policy)
    if forbidden:
        return Decision("hold", f"{evidence[0]}; but {forbidden}", evidence)
    return Decision("retrain", evidence[0], evidence)


def _loss(facts: Facts) -> str | None:
    loss = facts.loss
    if loss is None or not loss.established or loss.value is None:
        return None
    return (
        f"measured loss of performance: {loss.metric} of the last {loss.nights} measured nights is {loss.value:+.4f} "
        f"(95 % interval {loss.low:+.4f} to {loss.high:+.4f}) against the holdout at training, {loss.allowed:.4f} is allowed"
    )


def _drift(facts: Facts, policy: RetrainingPolicy) -> str | None:
    if facts.loss is not None and facts.loss.high is not None and facts.loss.high <= facts.loss.allowed:
        return None  # measured: what drifted does no harm
    needed, of = LASTING
    recent = list(facts.drifted_weights)[-of:]
    lasting = sum(weight >= policy.drift_weight for weight in recent)
    if not recent or recent[-1] < policy.drift_weight or lasting < needed:
        return None
    return (
        f"lasting drift: columns with {recent[-1]:.0%} of the model's importance ({', '.join(facts.drifted_columns)}) lay "
        f"outside the training data on {lasting} of the last {len(recent)} nights, {policy.drift_weight:.0%} is allowed"
    )


def _age(facts: Facts, policy: RetrainingPolicy) -> str | None:
    """Return that nothing was trained for too long. A challenger that was not promoted counts as trained."""
    newest = max([facts.trained_on or facts.trained_until, *facts.retrained])
    age = (facts.night - newest).days
    if policy.max_age_nights is None or age <= policy.max_age_nights:
        return None
    return f"age: nothing was trained since {newest}, {age} nights ago, {policy.max_age_nights} are allowed"


def _forbidden(facts: Facts, policy: RetrainingPolicy) -> str | None:
    """Return what forbids a retraining tonight."""
    since = max(facts.retrained, default=None)
    resting = since is not None and (facts.night - since).days < policy.cooldown_nights
    spent = sum(night > facts.night - timedelta(days=BUDGET_NIGHTS) for night in facts.retrained)
    new, needed = facts.new_labelled_nights, max(policy.min_new_labelled_nights, facts.nights_to_compare)
    rules = {
        f"the night's data are broken ({'; '.join(facts.faults)}): never retrain on broken data": bool(facts.faults),
        "the night has no verdict, so nothing says that its data are sound": facts.verdict is None,
        f"the last retraining was decided on {since}, cooldown is {policy.cooldown_nights} nights": resting,
        f"the budget of {policy.budget} retrainings in {BUDGET_NIGHTS} nights is spent": spent >= policy.budget,
        "a retraining is running": facts.running,
        f"only {new} nights with labels came since training, {needed} are needed": new < needed,
    }
    return next((rule for rule, forbids in rules.items() if forbids), None)


def _all_is_well(facts: Facts) -> str:
    weight = facts.drifted_weights[-1] if facts.drifted_weights else 0.0
    loss = "performance not measured yet"
    if facts.loss is not None and facts.loss.value is not None:
        loss = f"{facts.loss.metric} {facts.loss.value:+.4f} against training, {facts.loss.allowed:.4f} is allowed"
    return f"no reason: {loss}; {weight:.0%} of the model's importance has drifted"
