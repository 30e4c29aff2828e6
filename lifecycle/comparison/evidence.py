"""Is the challenger better: what the gate asks, by ``promotion.evidence``, each as a check with its sentence."""

from __future__ import annotations

from lifecycle.comparison.recipe import certainty, expected, probability
from scoring.job import PromotionPolicy
from scoring.rows import Check
from scoring.stores.warehouse import Block, Evaluation, Gain, Pooled, SinceChange

LEAST_BLOCKS = 3
"""Stretches of nights after earlier refits below which the challenger has to show by itself that it is better."""
SURE = 0.975
"""Certainty of one comparison by itself that promotes at once: the end of a two-sided 95 % interval."""


def better(gain: Gain, primary: str, policy: PromotionPolicy, least: float | None = None) -> Check:
    """Return whether the whole interval of the gain lies above ``least``, by default the policy's smallest gain."""
    if gain.low is None or gain.share is None:
        return _no_interval(gain, primary)
    needed = (policy.min_gain if least is None else least) * (gain.champion or 0.0)
    passed = gain.low > needed
    sentence = f"{_gain(gain, primary)}, more than {needed:.5f} is needed"
    tie = " (a tie keeps the champion)" if not passed and gain.low <= 0 <= (gain.high or 0.0) else ""
    return Check("gain", passed, sentence + tie)


def not_worse(gain: Gain, primary: str, name: str = "gain") -> Check:
    """Return whether the interval of the gain reaches above 0."""
    if gain.low is None:
        return _no_interval(gain, primary)
    sentence = f"{_gain(gain, primary)}, an interval that reaches above 0 is enough"
    return Check(name, gain.high is not None and gain.high > 0, sentence)


def gains(evaluation: Evaluation, policy: PromotionPolicy, primary: str) -> list[Check]:
    """Return what has to be true of the gain, by ``promotion.evidence``."""
    gain = evaluation.gain or Gain(0, 0, None, None, None, None, None, policy.confidence)
    if policy.evidence == "not_worse":
        return [not_worse(gain, primary)]
    pool = evaluation.refits
    if policy.evidence == "better" or gain.low is None:
        return [better(gain, primary, policy)]
    by_itself = better(gain, primary, policy, least=0.0)
    if by_itself.passed or pool is None or len(pool.blocks) <= LEAST_BLOCKS:
        return [by_itself]
    checks = [_by_recipe(pool, gain, primary, policy), not_worse(gain, primary, "direct")]
    if evaluation.proven is not None:
        checks.append(_no_creep(evaluation.proven, pool, gain, policy))
    return checks


def _by_recipe(pool: Pooled, gain: Gain, primary: str, policy: PromotionPolicy) -> Check:
    needed = policy.min_gain * (gain.champion or 0.0)
    chance = probability(pool, needed)
    passed = chance > policy.probability
    sentence = (
        f"{len(pool.blocks)} stretches of nights say that a refit gains {pool.mean:+.5f} ± {1.96 * pool.sd:.5f} in {primary} "
        f"over a version {pool.age} nights older: more than {needed:.5f} with a probability of {chance:.0%}, "
        f"{policy.probability:.0%} is needed"
    )
    return Check("gain", passed, sentence + ("" if passed else " (a tie keeps the champion)"))


def _no_creep(block: Block, pool: Pooled, gain: Gain, policy: PromotionPolicy) -> Check:
    allowed, lost = policy.max_creep * (gain.champion or 0.0), -expected(block, pool)
    sentence = (
        f"expected loss over version {block.against_version}, the last champion that was proven to be better: {lost:+.5f} on "
        f"{block.nights} nights, {allowed:.5f} is allowed"
    )
    return Check("proven champion", lost <= allowed, sentence)


def since_change(change: SinceChange | None, policy: PromotionPolicy, primary: str) -> list[Check] | None:
    """Return the checks that are passed by a fit that has seen the new world, or None if it does not show that it is better."""
    if change is None or policy.evidence != "recipe" or certainty(change.block) <= SURE:
        return None
    block = change.block
    sentence = (
        f"the outcome depends on the features in another way since {change.changed_on}: a fit on the nights before {block.first} "
        f"gains {block.gain:+.5f} in {primary} over the champion on the {block.nights} nights from then on "
        f"(certain to {certainty(block):.1%}, {SURE:.1%} is needed)"
    )
    return [Check("gain since the change", True, sentence)]


def is_proven(evaluation: Evaluation, policy: PromotionPolicy, primary: str) -> bool:
    """Return whether the challenger has shown by itself, on nights that it had not seen, that it is better."""
    gain = evaluation.gain
    by_itself = gain is not None and gain.low is not None and gain.low > 0
    return by_itself or since_change(evaluation.since_change, policy, primary) is not None


def _no_interval(gain: Gain, primary: str) -> Check:
    return Check("gain", False, f"no interval of the gain in {primary} from {gain.nights} nights")


def _gain(gain: Gain, primary: str) -> str:
    return (
        f"gain in {primary} over {gain.nights} nights: {gain.value:+.5f} ({gain.confidence:.0%} interval {gain.low:+.5f} to "
        f"{gain.high:+.5f})"
    )
