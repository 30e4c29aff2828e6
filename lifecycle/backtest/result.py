"""What a backtest found, for JSON: a line per policy, curves, how the model ages, and which settings follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lifecycle.backtest.figures import FOLLOWED, SMOOTHED, Aged, ageing, curve, gain_over, loss_of_run
from lifecycle.backtest.fits import Fits
from lifecycle.backtest.life import Policy, Retrained, Run, lived
from lifecycle.backtest.policies import at_nights
from scoring.stores.warehouse import Gain

Content = dict[str, Any]
PROBABILITY = 0.8
"""Probability with which a policy must be worse than the best to be left out: the gate asks for as much."""


def interval(gain: Gain) -> Content:
    """Return value and ends of a gain, for JSON."""
    return {"value": gain.value, "low": gain.low, "high": gain.high}


def line_of(run: Run, never: Run) -> Content:
    """Return what is told of a policy: its loss, its gain over never retraining, what it did, and what that cost."""
    life = run.life
    outcomes = [row.outcome for row in life.retrained]
    return {
        "policy": run.policy.name,
        "words": run.policy.words,
        "loss": interval(loss_of_run(run)),
        "gain": interval(gain_over(run, never)),
        "retrainings": len(outcomes),
        **{outcome: outcomes.count(outcome) for outcome in ("promoted", "refused", "failed")},
        "rollbacks": len(life.rolled_back),
        "worse": run.worse,
        "followed": len(run.followed),
        "seconds": round(run.seconds, 3),
        "kept": _kept(run, never) if run.policy.gated else None,
        "settings": run.policy.settings,
        "retrained": [_retrained(row, run) for row in life.retrained],
        "rolled_back": [str(life.history.day(night)) for night in life.rolled_back],
        "curve": curve(run, never),
    }


def ungated(run: Run) -> Run:
    """Return how the same nights go when every version of a policy becomes champion: nothing is fitted for it."""
    nights = [row.night for row in run.life.retrained if row.outcome != "failed"]
    return lived(run.life.fits, at_nights(nights), run.life.begun)


def _kept(run: Run, never: Run) -> float | None:
    """Return the share that the gate kept of what the same retrainings without it gain, or None where these gain nothing."""
    most = gain_over(ungated(run), never).value
    gain = gain_over(run, never).value
    return gain / most if most is not None and gain is not None and most > 0 else None


def _retrained(row: Retrained, run: Run) -> Content:
    night = run.life.history.day(row.night)
    return {"night": str(night), "reason": row.reason, "outcome": row.outcome, "detail": row.detail}


def recommended(runs: Sequence[Run]) -> Content | None:
    """Return the cheapest policy that is as good as the best, why, and the lines of a job file that make a job live so.

    Only policies with such lines count. As good is one that the best beats by more than ``promotion.min_gain`` of its loss
    with a probability of less than 80 %. The cheapest is the one with the fewest CPU seconds of fitting.
    """
    able = [run for run in runs if run.policy.settings is not None]
    if not able:
        return None
    best = min(able, key=lambda run: loss_of_run(run).value or 0.0)
    level = [run for run in able if run is best or not _beaten(run, best)]
    chosen = min(level, key=lambda run: (run.seconds, len(run.life.retrained)))
    words = f"{chosen.policy.name} ({_cost(chosen)})"
    if chosen is best:
        words += " loses least, and nothing cheaper is as good"
    else:
        gap, unit = gain_over(best, chosen), chosen.life.history.job.task.loss_unit
        ends = "no interval" if gap.low is None else f"95 % interval {gap.low:+.4f} to {gap.high:+.4f}"
        words += (
            f" is the cheapest that the best, {best.policy.name} ({_cost(best)}), does not beat by more than "
            f"{_matters(gap, chosen):.4f} {unit} (promotion.min_gain) with a probability of {PROBABILITY:.0%}: it loses "
            f"{gap.value:+.4f} more ({ends})"
        )
    return {"policy": chosen.policy.name, "sentence": words, "settings": chosen.policy.settings}


def _cost(run: Run) -> str:
    return f"{len(run.life.retrained)} retrainings, {run.seconds:.1f} CPU s"


def _beaten(run: Run, best: Run) -> bool:
    """Return whether the best is better than a policy, by what counts, with the probability that counts."""
    gap = gain_over(best, run, 2 * PROBABILITY - 1)  # both tails: the lower end has that probability above it
    least = gap.value if gap.low is None else gap.low
    return least is not None and least > _matters(gap, run)


def _matters(gap: Gain, run: Run) -> float:
    """Return the smallest difference that matters, in the unit of the loss."""
    return run.life.history.job.promotion.min_gain * (gap.champion or 0.0)


def result_of(fits: Fits, runs: Sequence[Run], policies: Sequence[Policy]) -> Content:
    """Return all that a backtest found. The first of ``runs`` never retrains; ``policies`` are those asked for."""
    history, never = fits.history, runs[0]
    asked = {policy.name for policy in policies}
    task = history.job.task
    versions = {version for run in runs for version in run.life.made}
    return {
        "job": history.job.name,
        "from": str(history.day(history.first)),
        "to": str(history.days[-1]),
        "nights": int((never.rows > 0).sum()),
        "rows": int(never.rows.sum()),
        "days": [str(day) for day in history.days[history.first :]],
        "loss": task.loss,
        "unit": task.loss_unit,
        "window": history.job.training.window,
        "smoothed": SMOOTHED,
        "followed": FOLLOWED,
        "policies": [line_of(run, never) for run in runs if run.policy.name in asked],
        "ageing": [_aged(row) for row in ageing(fits, sorted(versions, key=lambda version: version.until))],
        "recommendation": recommended([run for run in runs if run.policy.name in asked]),
        "fits": fits.made,
    }


def _aged(row: Aged) -> Content:
    return {**asdict(row), "gain": interval(row.gain)}
