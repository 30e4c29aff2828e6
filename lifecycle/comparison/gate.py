"""Challenger against champion, on nights that neither has seen: who is better, by how much, and is that enough.

Everything here is a function of sums per night. Nights are drawn, not rows: the rows of a night share its weather. Where the
same entities come every night, they are drawn too: an entity's rows share the entity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats

from drift.performance import Floats, Panel
from scoring.job import PromotionPolicy
from scoring.rows import Check, constant_checks, floor_checks
from scoring.stores.warehouse import Evaluation, Gain, Holdout, Metrics, Row, Segment

REPLICATES = 4_000
SEQUENTIAL = 0.99
"""Confidence of comparisons that are repeated every night. Testing repeatedly raises the false-alarm rate, so this is stricter
than ``promotion.confidence``."""
SEGMENT_ROWS = 200
"""A segment of fewer rows is shown, and decides nothing."""


@dataclass(frozen=True)
class Losses:
    """Losses of both versions on the same rows of the same nights, as arrays of shape (nights,)."""

    rows: Floats
    champion: Floats
    """Sum over the night's rows of the champion's loss: log loss in nats, or absolute error in units of the label."""
    challenger: Floats
    gains: Panel | None = None
    """The champion's loss less the challenger's, by night and group of entities, where these come again every night."""

    def __add__(self, other: Losses) -> Losses:
        """Return the nights of both."""
        if not (self.nights and other.nights):
            return self if self.nights else other
        return Losses(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.champion, other.champion]),
            np.concatenate([self.challenger, other.challenger]),
            self.gains + other.gains if self.gains and other.gains else None,
        )

    @property
    def nights(self) -> int:
        """Return how many nights there are."""
        return len(self.rows)


@dataclass(frozen=True)
class Judgement:
    """What the gate decides, and why."""

    passed: bool
    reason: str
    checks: tuple[Check, ...]

    def as_dict(self) -> Row:
        """Return it for JSON."""
        return {"passed": self.passed, "reason": self.reason, "checks": [asdict(check) for check in self.checks]}


def gain_of(losses: Losses, confidence: float) -> Gain:
    """Return the challenger's gain with a paired bootstrap interval over nights. An equal version gains exactly 0.

    Entities that come again every night are drawn too: then the interval is two-way cluster-robust (see ``Panel``).
    The quantiles are those of the expanded percentile interval (Hesterberg, What teachers should know about the
    bootstrap, 2015, section 5.3), for a plain one is too short for a few nights. No interval for fewer than two.
    """
    total = losses.rows.sum()
    if not total:
        return Gain(losses.nights, 0, None, None, None, None, None, confidence)
    champion, challenger = losses.champion.sum() / total, losses.challenger.sum() / total
    values = (losses.nights, int(total), float(champion), float(challenger), float(champion - challenger))
    if losses.nights < 2:
        return Gain(*values, None, None, confidence)
    if losses.gains is not None:
        spread = losses.gains.spread()
        if spread is None:
            return Gain(*values, None, None, confidence)
        margin = spread.margin(confidence)
        return Gain(*values, values[-1] - margin, values[-1] + margin, confidence)
    n = losses.nights
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), REPLICATES)
    gains = (drawn @ (losses.champion - losses.challenger)) / (drawn @ losses.rows)
    tail = stats.norm.cdf(np.sqrt(n / (n - 1)) * stats.t.ppf((1 - confidence) / 2, n - 1))
    low, high = np.quantile(gains, [tail, 1 - tail])
    return Gain(*values, float(low), float(high), confidence)


def holdout_nights(new_nights: int, most: int, least: int) -> int:
    """Return how many nights since the champion's training become holdout, so that at least as many are trained on.

    >>> [holdout_nights(new, most=14, least=7) for new in (10, 14, 20, 60)]
    [7, 7, 10, 14]
    """
    return min(most, max(least, new_nights // 2))


def judge(evaluation: Evaluation, policy: PromotionPolicy, primary: str) -> Judgement:
    """Return whether a challenger may take the crown: better with evidence, and in no guarded respect worse.

    A tie keeps the champion. Without a champion the floors count, and a loss that is no greater than a constant's.
    """
    if evaluation.champion is None:
        return _judgement(_first(evaluation, policy, primary))
    gain = evaluation.gain or Gain(0, 0, None, None, None, None, None, policy.confidence)
    checks = [_enough(gain, evaluation.holdout, policy), _better(gain, primary, policy)]
    if "calibration_error" in evaluation.metrics["champion"]:
        checks.append(_calibration(evaluation.metrics, policy))
    checks += _segments(evaluation.segments, policy)
    checks.append(_ratio("latency", evaluation.latency, policy.max_latency_ratio, "CPU s per million rows"))
    checks.append(_ratio("size", evaluation.size, policy.max_size_ratio, "MB"))
    return _judgement(checks)


def _judgement(checks: Sequence[Check]) -> Judgement:
    refused = [check.sentence for check in checks if not check.passed]
    sentences = refused or [check.sentence for check in checks[:2]]
    return Judgement(
        not refused, "; ".join(sentences) or "the first version, and the job sets no floors", tuple(checks)
    )


def _first(evaluation: Evaluation, policy: PromotionPolicy, primary: str) -> list[Check]:
    """Return what is asked of a first version: the job's floors, and no greater loss than a constant's."""
    metrics = {name: metric["value"] for name, metric in evaluation.metrics["challenger"].items()}
    return floor_checks(metrics, policy.floors) + constant_checks(primary, evaluation.constant)


def _enough(gain: Gain, holdout: Holdout, policy: PromotionPolicy) -> Check:
    dropped = holdout.of_nights - gain.nights
    overlap = f", or whose outcomes overlap those it had seen (label.horizon_days {holdout.gap})" if holdout.gap else ""
    why = f" ({dropped} of {holdout.of_nights} dropped, which a version had seen{overlap})" if dropped else ""
    sentence = f"{gain.nights} holdout nights that neither version has seen{why}, {policy.min_nights} are needed"
    return Check("nights", gain.nights >= policy.min_nights, sentence)


def _better(gain: Gain, primary: str, policy: PromotionPolicy) -> Check:
    if gain.low is None or gain.share is None:
        return Check("gain", False, f"no interval of the gain in {primary} from {gain.nights} nights")
    if policy.evidence == "not_worse":
        return _not_worse(gain, primary)
    needed = policy.min_gain * (gain.champion or 0.0)
    passed = gain.low > needed
    sentence = (
        f"gain in {primary} over {gain.nights} nights: {gain.value:+.5f} ({gain.confidence:.0%} interval {gain.low:+.5f} to "
        f"{gain.high:+.5f}), more than {needed:.5f} is needed"
    )
    tie = " (a tie keeps the champion)" if not passed and gain.low <= 0 <= (gain.high or 0.0) else ""
    return Check("gain", passed, sentence + tie)


def _not_worse(gain: Gain, primary: str) -> Check:
    sentence = (
        f"gain in {primary} over {gain.nights} nights: {gain.value:+.5f} ({gain.confidence:.0%} interval {gain.low:+.5f} to "
        f"{gain.high:+.5f}), an interval that reaches above 0 is enough"
    )
    return Check("gain", gain.high is not None and gain.high > 0, sentence)


def _calibration(metrics: Mapping[str, Metrics], policy: PromotionPolicy) -> Check:
    errors = [metrics[side]["calibration_error"]["value"] or 0.0 for side in ("champion", "challenger")]
    worse = errors[1] - errors[0]
    sentence = (
        f"calibration error {errors[1]:.4f} against the champion's {errors[0]:.4f} (probability), "
        f"{policy.max_calibration_loss:g} more is allowed"
    )
    return Check("calibration", worse <= policy.max_calibration_loss, sentence)


def _segments(segments: Sequence[Segment], policy: PromotionPolicy) -> list[Check]:
    checks = []
    for segment in segments:
        worse = segment.worse
        if segment.rows < SEGMENT_ROWS or worse is None:
            continue
        name = f"{segment.column} {segment.value}"
        sentence = f"{name}: loss {worse:+.1%} on {segment.rows:,} rows, {policy.max_segment_loss:+.1%} is allowed"
        checks.append(Check(f"segment {name}", worse <= policy.max_segment_loss, sentence))
    return checks


def _ratio(name: str, sides: Mapping[str, float], limit: float, unit: str) -> Check:
    ratio = sides["challenger"] / sides["champion"] if sides["champion"] else 1.0
    sentence = (
        f"{name} × {ratio:.2f} of the champion's ({sides['challenger']:.3g} against {sides['champion']:.3g} {unit}), "
        f"× {limit:g} is allowed"
    )
    return Check(name, ratio <= limit, sentence)


def judge_shadow(shadow: Losses, holdout: Losses, policy: PromotionPolicy, primary: str) -> Judgement:
    """Return whether a challenger that scored in the shadow may take the crown: still better, all nights considered.

    ``holdout`` are the nights of the gate's comparison. On the shadow nights alone it must not be worse with evidence.
    """
    alone, together = (gain_of(losses, policy.confidence) for losses in (shadow, shadow + holdout))
    worse = alone.high is not None and alone.high < 0
    value = "unknown" if alone.value is None else f"{alone.value:+.5f}"
    sentence = f"gain in {primary} on {alone.nights} shadow nights alone: {value}"
    if alone.high is not None:
        sentence += f" ({alone.confidence:.0%} interval {alone.low:+.5f} to {alone.high:+.5f})"
    return _judgement([_better(together, primary, policy), Check("shadow", not worse, sentence)])


def judge_predecessor(losses: Losses, policy: PromotionPolicy, primary: str) -> Judgement:
    """Return whether a dethroned champion must get the crown back: it does better than its successor, with evidence.

    ``losses`` has the successor as champion and the predecessor as challenger. This is judged every night, so the interval
    is one of 99 %.
    """
    gain = gain_of(losses, SEQUENTIAL)
    if gain.nights < policy.min_nights or gain.low is None:
        return Judgement(False, f"{gain.nights} measured nights, {policy.min_nights} are needed", ())
    sentence = (
        f"the predecessor's {primary} over {gain.nights} nights is {-(gain.value or 0):+.5f} against its successor's "
        f"({gain.confidence:.0%} interval {-(gain.high or 0):+.5f} to {-gain.low:+.5f})"
    )
    return Judgement(gain.low > 0, sentence, (Check("predecessor", gain.low > 0, sentence),))
