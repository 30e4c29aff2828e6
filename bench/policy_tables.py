"""Runs of retraining policies → lines with intervals, summaries over seeds, and what was aimed at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.policy_runs import Run, weeks_of
from bench.policy_world import FIRST, Floats

DRAWS = 2_000
SHARE, MOST = 0.98, 18
NEVER, EVERY = "never", "every night, no gate"
Line = dict[str, Any]


def lines_of(runs: Sequence[Run]) -> list[Line]:
    """Return a line per run of one stream and window: means of nights with 95 % intervals over weeks, and counts."""
    named = {run.policy: run for run in runs}
    never, every = named[NEVER], named[EVERY]
    weeks = list(weeks_of(len(never.log_loss), np.random.default_rng(0), DRAWS))
    return [_line(run, never, every, weeks) for run in runs]


def _line(run: Run, never: Run, every: Run, weeks: list[np.ndarray]) -> Line:
    life = run.life
    changed = life.world.changed
    after = [night for night, _, _ in life.promoted if changed is not None and night >= changed]
    gain, most = (float(np.mean(never.log_loss - one.log_loss)) for one in (run, every))
    return {
        "stream": life.world.name,
        "window": run.window,
        "policy": run.policy,
        "log_loss": _mean(run.log_loss, weeks),
        "brier": _mean(run.brier, weeks),
        "log_loss_to_every": _mean(run.log_loss - every.log_loss, weeks),
        "log_loss_to_never": _mean(run.log_loss - never.log_loss, weeks),
        "brier_to_every": _mean(run.brier - every.brier, weeks),
        "brier_to_never": _mean(run.brier - never.brier, weeks),
        "gain": gain,
        "most": most,
        "share": gain / most if most else None,
        "retrainings": len(life.retrained),
        "promotions": len(life.promoted),
        "rollbacks": len(life.rolled_back),
        "refused": len(life.refused),
        "cpu_seconds": run.seconds,
        "worse": run.worse,
        "followed": len(run.afterwards),
        "before_change": len(life.promoted) - len(after),
        "delay": min(after) - changed if after and changed else None,
        "nights": [night - FIRST for night in life.retrained],
        "promoted": [night - FIRST for night, _, _ in life.promoted],
        "afterwards": run.afterwards,
        "reasons": [reason for _, reason in life.reasons],
    }


def _mean(values: Floats, weeks: list[np.ndarray]) -> list[float]:
    """Return the mean and the ends of its interval."""
    drawn = [float(values[places].mean()) for places in weeks]
    return [float(values.mean()), *(float(end) for end in np.quantile(drawn, [0.025, 0.975]))]


def shown(line: Line, to: Sequence[str] = ("every", "never")) -> Line:
    """Return a line for reading."""
    found = {"window": line["window"], "policy": line["policy"]}
    for name in ("log_loss", "brier"):
        value, low, high = line[name]
        found[name.replace("_", " ")] = f"{value:.4f} ({low:.4f} to {high:.4f})"
    for other in to:
        value, low, high = (1e4 * part for part in line[f"log_loss_to_{other}"])
        found[f"to {other}, 1e-4"] = f"{value:+.0f} ({low:+.0f} to {high:+.0f})"
    return {**found, "share": _percent(line["share"]), **_counts(line), "CPU s": round(line["cpu_seconds"])}


def shown_brier(line: Line) -> Line:
    """Return a line's paired differences of the Brier score, for reading."""
    found = {"window": line["window"], "policy": line["policy"]}
    for other in ("every", "never"):
        value, low, high = (1e4 * part for part in line[f"brier_to_{other}"])
        found[f"Brier to {other}, 1e-4"] = f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
    return found


def _counts(line: Line) -> Line:
    names = ("retrainings", "promotions", "refused", "rollbacks")
    return {**{name: line[name] for name in names}, "worse": f"{line['worse']} of {line['followed']}"}


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def over_seeds(lines: Sequence[Line]) -> list[Line]:
    """Return a line per kind of made-up stream, window and policy: means over the seeds."""
    groups: dict[tuple[str, str, str], list[Line]] = {}
    for line in lines:
        groups.setdefault((line["stream"].split()[0], line["window"], line["policy"]), []).append(line)
    found = []
    for (kind, window, policy), some in groups.items():
        most, gains = sum(one["most"] for one in some), [one["gain"] for one in some]
        real = kind in ("abrupt", "gradual")
        found.append(
            {
                "stream": kind,
                "window": window,
                "policy": policy,
                "seeds": len(some),
                "log loss": f"{np.mean([one['log_loss'][0] for one in some]):.4f}",
                "gain, 1e-4": f"{1e4 * np.mean(gains):+.1f} ({1e4 * min(gains):+.1f} to {1e4 * max(gains):+.1f})",
                "share": _percent(sum(gains) / most) if real else "",
                "retrainings": _average(one["retrainings"] for one in some),
                "promotions": _average(one["promotions"] for one in some),
                "before the change": _average(one["before_change"] for one in some) if real else "",
                "delay": ", ".join(str(one["delay"] or "never") if one["delay"] != 0 else "0" for one in some)
                if real
                else "",
                "rollbacks": _average(one["rollbacks"] for one in some),
                "worse": f"{sum(one['worse'] for one in some)} of {sum(one['followed'] for one in some)}",
            }
        )
    return found


def _average(numbers: Any) -> str:
    return f"{np.mean(list(numbers)):.1f}"


def phases_of(lines: Sequence[Line]) -> list[Line]:
    """Return how much of every night's gain an evenly spaced policy keeps, by the night it began on."""
    found: dict[tuple[str, str], Line] = {}
    for line in lines:
        name, _, later = line["policy"].partition(", begun ")
        if later:
            row = found.setdefault((line["window"], name), {"window": line["window"], "policy": name})
            row[later] = (
                f"{_percent(line['share'])} ({line['promotions']} of {line['retrainings']}, {line['worse']} worse)"
            )
    return list(found.values())


def targets(flights: Sequence[Line], made_up: Sequence[Line], policy: str, asked: str) -> list[Line]:
    """Return what was aimed at with the project's defaults, what came out, and whether it is enough."""
    found: list[Line] = []

    def target(what: str, value: Any, aim: str, kept: bool) -> None:
        found.append({"target": what, "found": value, "aim": aim, "result": "PASS" if kept else "FAIL"})

    for line in flights:
        if line["policy"] == policy:
            where = f"flights, {line['window']}, {policy}"
            target(
                f"share of every night's gain, {where}",
                f"{line['share']:.0%}",
                f"≥ {SHARE:.0%}",
                line["share"] >= SHARE,
            )
            target(f"retrainings, {where}", line["retrainings"], f"≤ {MOST}", line["retrainings"] <= MOST)
            target(f"promotions that made 14 nights worse, {where}", line["worse"], "0", line["worse"] == 0)
    for name in (policy, asked):
        some = [one for one in made_up if one["stream"].startswith("none") and one["policy"] == name]
        for window in dict.fromkeys(one["window"] for one in some):
            counts = [one["promotions"] for one in some if one["window"] == window]
            what = f"promotions where nothing changes, by seed, {window}, {name}"
            target(what, ", ".join(map(str, counts)), "0", not any(counts))
    return found
