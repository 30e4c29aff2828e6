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
BREAK_NIGHTS = 3
"""Nights with labels since performance broke, from which a version that mends it can be fitted and judged."""
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
class Worth:
    """What a version trained tonight would spare until the next one may be trained, and what training costs."""

    loss: str
    newer: int
    """Nights that it would be newer than the champion by."""
    gain: float
    """Loss that it is expected to spare in a row, by what refits have gained so far."""
    rows: float
    """Rows of a night."""
    nights: int
    """Nights until the next retraining may be decided."""
    cost: float
    """What a retraining costs, in units of loss times rows."""

    @property
    def spared(self) -> float:
        """Return the loss that is spared until then, summed over rows."""
        return max(self.gain, 0.0) * self.rows * self.nights


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
    worth: Worth | None = None
    retrained: Sequence[date] = ()
    """Nights on which a retraining was decided."""
    trained_on: date | None = None
    """Night at whose end the last label of the training was known: later than ``trained_until`` where labels come late."""
    nights_to_compare: int = 0
    """New nights below which a challenger's comparison has learned nothing that the champion has not, where outcomes overlap."""
    running: bool = False
    changed_on: date | None = None
    """First night, as estimated, of a break in performance, or the last measured night if it was worse than a constant."""
    change: str = ""
    """The break in words."""
    nights_since_change: int = 0
    """Measured nights since ``changed_on``, this one included."""
    asked_since_change: int = 0
    """How many of them were known when a retraining was last decided: 0 if none was since."""
    has_labels: bool = True
    """Whether outcomes become known at all. Where not, every night since the training counts as a new one."""

    def as_dict(self) -> dict[str, Any]:
        """Return the facts for JSON."""
        content = {name: value for name, value in asdict(self).items() if name != "has_labels" or not value}
        days = {"night": str(self.night), "trained_until": str(self.trained_until)}
        days |= {} if self.trained_on is None else {"trained_on": str(self.trained_on)}
        days |= {} if self.changed_on is None else {"changed_on": str(self.changed_on)}
        return {**content, **days, "retrained": [str(night) for night in self.retrained]}


@dataclass(frozen=True)
class Decision:
    """What the governor decided, and why."""

    decision: Choice
    reason: str
    evidence: list[str] = field(default_factory=list)


def decide(facts: Facts, policy: RetrainingPolicy) -> Decision:
    """Return the decision for a night: ``none`` without a reason to retrain, ``hold`` when something forbids it.

    A break in performance comes first, then a measured loss of it, drift that lasts on columns that matter, the loss that a
    newer version would spare, and age.
    Broken data is never trained on; there is a budget, and no second retraining while one runs. The cooldown is for all
    reasons but a break, which is asked about again when the nights since it have doubled.
    """
    if facts.origin == "backfill":
        return Decision("none", NOT_EVALUATED)
    if facts.origin == "provisional":
        return Decision("none", PROVISIONAL)
    if not policy.enabled:
        return Decision("none", "retraining is switched off in the job file")
    change = facts.change if facts.changed_on is not None else None
    reasons = (_loss(facts), _drift(facts, policy), _worth(facts, policy), _age(facts, policy))
    slow = [reason for reason in reasons if reason]
    evidence = [change, *slow] if change else slow
    if not evidence:
        return Decision("none", _all_is_well(facts))
    forbidden = [_forbidden(facts, policy, broke=reason is change) for reason in evidence]
    for reason, forbids in zip(evidence, forbidden, strict=True):
        if forbids is None:
            return Decision("retrain", reason, evidence)
    return Decision("hold", f"{evidence[0]}; but {forbidden[0]}", evidence)


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


def _worth(facts: Facts, policy: RetrainingPolicy) -> str | None:
    """Return that a newer version would spare more than it costs. Before one may be trained that is no reason yet."""
    worth = facts.worth
    if worth is None or worth.spared <= worth.cost:
        return None
    if _cooldown(facts, policy) or facts.new_labelled_nights < max(
        policy.min_new_labelled_nights, facts.nights_to_compare
    ):
        return None
    return (
        f"worth its cost: by what refits have gained so far, a version {worth.newer} nights newer spares {worth.gain:.5f} "
        f"{worth.loss} a row, so {worth.spared:.4g} on {worth.rows:,.0f} rows a night until it may be asked again, "
        f"{worth.nights} nights; a retraining costs {worth.cost:.4g}"
    )


def _age(facts: Facts, policy: RetrainingPolicy) -> str | None:
    """Return that nothing was trained for too long. A challenger that was not promoted counts as trained."""
    newest = max([facts.trained_on or facts.trained_until, *facts.retrained])
    age = (facts.night - newest).days
    if policy.max_age_nights is None or age <= policy.max_age_nights:
        return None
    return f"age: nothing was trained since {newest}, {age} nights ago, {policy.max_age_nights} are allowed"


def _forbidden(facts: Facts, policy: RetrainingPolicy, *, broke: bool) -> str | None:
    """Return what forbids a retraining tonight, for a break in performance or for what comes slowly."""
    spent = sum(night > facts.night - timedelta(days=BUDGET_NIGHTS) for night in facts.retrained)
    needed = max(policy.min_new_labelled_nights, facts.nights_to_compare)
    rules = {
        f"the night's data are broken ({'; '.join(facts.faults)}): never retrain on broken data": bool(facts.faults),
        "the night has no verdict, so nothing says that its data are sound": facts.verdict is None,
        _cooldown(facts, policy): not broke,
        f"the budget of {policy.budget} retrainings in {BUDGET_NIGHTS} nights is spent": spent >= policy.budget,
        "a retraining is running": facts.running,
        _too_early(facts) if broke else _too_few(facts.new_labelled_nights, needed, "training"): True,
    }
    return next((rule for rule, forbids in rules.items() if rule and forbids), None)


def _cooldown(facts: Facts, policy: RetrainingPolicy) -> str | None:
    since = max(facts.retrained, default=None)
    if since is None or (facts.night - since).days >= policy.cooldown_nights:
        return None
    return f"the last retraining was decided on {since}, cooldown is {policy.cooldown_nights} nights"


def _too_early(facts: Facts) -> str | None:
    """Return what forbids a retraining tonight for a break, however urgent."""
    new, asked = facts.nights_since_change, facts.asked_since_change
    if asked and new < 2 * asked:
        return (
            f"a retraining was decided on {max(facts.retrained)} when {asked} nights were known since the change, "
            f"it is asked for again when there are {2 * asked}, now there are {new}"
        )
    few = _too_few(facts.new_labelled_nights, facts.nights_to_compare, "training")
    return _too_few(new, BREAK_NIGHTS, "the change") or few


def _too_few(new: int, needed: int, since: str) -> str | None:
    if new >= needed:
        return None
    return f"only {new} night{'' if new == 1 else 's'} with labels came since {since}, {needed} are needed"


def _all_is_well(facts: Facts) -> str:
    weight = facts.drifted_weights[-1] if facts.drifted_weights else 0.0
    loss = (
        "performance not measured yet" if facts.has_labels else "performance is never measured, the job has no labels"
    )
    if facts.loss is not None and facts.loss.value is not None:
        loss = f"{facts.loss.metric} {facts.loss.value:+.4f} against training, {facts.loss.allowed:.4f} is allowed"
        loss += _unsure(facts.loss) if facts.loss.value > facts.loss.allowed else ""
    return f"no reason: {loss}; {weight:.0%} of the model's importance has drifted"


def _unsure(loss: Loss) -> str:
    """Return why a rise beyond what is allowed is no reason: nobody knows yet whether it is one."""
    if loss.low is None or loss.high is None:
        nights = "1 measured night gives" if loss.nights == 1 else f"{loss.nights} measured nights give"
        return f", but the rise is not established: {nights} no interval yet"
    return (
        f", but the rise is not established: the 95 % interval of {loss.nights} measured nights is "
        f"{loss.low:+.4f} to {loss.high:+.4f}"
    )
