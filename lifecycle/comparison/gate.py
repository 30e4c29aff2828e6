"""Challenger against champion, on nights that neither has seen: who is better, by how much, and is that enough.

Everything here is a function of sums per night. Nights are drawn, not rows: the rows of a night share its weather. Where the
same entities come every night, they are drawn too: an entity's rows share the entity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from scipy import stats

from drift.performance import Floats, Interval, Panel
from lifecycle.comparison import evidence
from lifecycle.comparison.recipe import LEAST_NIGHTS
from lifecycle.comparison.sequential import ALPHA, e_values
from scoring.job import Job, PromotionPolicy
from scoring.rows import Check, constant_checks, floor_checks
from scoring.stores.warehouse import Evaluation, Gain, Metrics, Row, Segment

REPLICATES = 4_000
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

    @property
    def horizon(self) -> int:
        """Return how many neighbouring nights have outcomes in common: 1 where each night has its own."""
        return max(self.gains.horizon, 1) if self.gains is not None else 1


@dataclass(frozen=True)
class Judgement:
    """What the gate decides, and why."""

    passed: bool
    reason: str
    checks: tuple[Check, ...]
    proven: bool = False
    """Whether the challenger has shown by itself that it is better, not by what refits have gained before."""

    def as_dict(self) -> Row:
        """Return it for JSON."""
        checks = [asdict(check) for check in self.checks]
        return {"passed": self.passed, "reason": self.reason, "checks": checks, "proven": self.proven}


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
    metrics, segments, paired = evaluation.metrics, evaluation.segments, evaluation.worse_calibrated
    checks = evidence.since_change(evaluation.since_change, policy, primary)
    if checks is not None and evaluation.since_change is not None:
        metrics, segments, paired = evaluation.since_change.metrics, evaluation.since_change.segments, None
    else:
        checks = [_enough(evaluation, policy), *evidence.gains(evaluation, policy, primary)]
    if "calibration_error" in metrics["champion"]:
        checks.append(_calibration(metrics, paired, policy))
    checks += _segments(segments, policy)
    checks.append(_ratio("latency", evaluation.latency, policy.max_latency_ratio, "CPU s per million rows"))
    checks.append(_ratio("size", evaluation.size, policy.max_size_ratio, "MB"))
    return replace(_judgement(checks), proven=evidence.is_proven(evaluation, policy, primary))


def without_labels(job: Job, version: int) -> Judgement:
    """Return the judgement on a later version of a job without labels: a person's, for no loss can be measured."""
    sentence = "the job has no labels: nothing says which version is better"
    asked = job.promotion.promote == "human"
    advice = (
        "a person decides" if asked else f"`nightshift promote {job.name} {version}` makes it champion all the same"
    )
    return Judgement(asked, f"{sentence}; {advice}", (Check("labels", False, sentence),))


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


def _enough(evaluation: Evaluation, policy: PromotionPolicy) -> Check:
    holdout, nights = evaluation.holdout, evaluation.gain.nights if evaluation.gain else 0
    dropped = holdout.of_nights - nights
    overlap = f", or whose outcomes overlap those it had seen (label.horizon_days {holdout.gap})" if holdout.gap else ""
    why = f" ({dropped} of {holdout.of_nights} dropped, which a version had seen{overlap})" if dropped else ""
    sentence = f"{nights} holdout nights that neither version has seen{why}, {policy.min_nights} are needed"
    return Check("nights", nights >= policy.min_nights, sentence)


def _calibration(metrics: Mapping[str, Metrics], paired: Interval | None, policy: PromotionPolicy) -> Check:
    """Return whether the calibration error is not larger than allowed; where nights say how sure that is, with evidence."""
    errors = [metrics[side]["calibration_error"]["value"] or 0.0 for side in ("champion", "challenger")]
    worse, low = errors[1] - errors[0], paired["low"] if paired is not None else None
    sentence = (
        f"calibration error {errors[1]:.4f} against the champion's {errors[0]:.4f} (probability), "
        f"{policy.max_calibration_loss:g} more is allowed"
    )
    if worse > policy.max_calibration_loss and low is not None and low <= policy.max_calibration_loss:
        return Check("calibration", True, f"{sentence}; more is not established (from {low:+.4f} on, 95 % interval)")
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

    ``holdout`` are the nights of the gate's comparison. On the shadow nights alone it must not be worse with evidence. What
    refits have gained before was asked by the gate, so with ``evidence: recipe`` all nights must only not speak against it.
    """
    alone, together = (gain_of(losses, policy.confidence) for losses in (shadow, shadow + holdout))
    worse = alone.high is not None and alone.high < 0
    value = "unknown" if alone.value is None else f"{alone.value:+.5f}"
    sentence = f"gain in {primary} on {alone.nights} shadow nights alone: {value}"
    if alone.high is not None:
        sentence += f" ({alone.confidence:.0%} interval {alone.low:+.5f} to {alone.high:+.5f})"
    strict = policy.evidence == "better"
    gain = evidence.better(together, primary, policy) if strict else evidence.not_worse(together, primary)
    return _judgement([gain, Check("shadow", not worse, sentence)])


def judge_predecessor(losses: Losses, spread: float | None, policy: PromotionPolicy, primary: str) -> Judgement:
    """Return whether a dethroned champion must get the crown back: it does better than its successor, with evidence.

    ``losses`` has the successor as champion and the predecessor as challenger, ``spread`` is how far such a difference
    usually lies from its mean on one night, known beforehand; these nights may only widen it. This is judged every night, so
    the evidence is an e-process. Without a spread, that of the nights themselves serves, from ``min_nights`` on.
    """
    if losses.nights == 0 or (spread is None and losses.nights < policy.min_nights):
        needed = policy.min_nights if spread is None else 1
        return Judgement(False, f"{losses.nights} measured nights, {needed} are needed", ())
    differences = (losses.champion - losses.challenger) / losses.rows
    own = float(np.std(differences, ddof=1)) if losses.nights >= LEAST_NIGHTS else 0.0
    spread = max(spread or 0.0, own)
    if not spread:
        return Judgement(False, "both say the same of every row", ())
    evidence_so_far = e_values(differences, spread, losses.horizon)
    passed = bool(evidence_so_far[-1] >= 1 / ALPHA)
    mean = float((losses.champion - losses.challenger).sum() / losses.rows.sum())
    sentence = (
        f"the predecessor's {primary} over {losses.nights} nights is {-mean:+.5f} against its successor's (evidence "
        f"{min(evidence_so_far[-1], 1e6):.3g} to 1, {1 / ALPHA:.0f} to 1 is needed)"
    )
    return Judgement(passed, sentence, (Check("predecessor", passed, sentence),))
