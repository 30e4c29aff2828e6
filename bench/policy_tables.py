"""Lives from five first nights → a line per stream, window and policy, averages, and what was aimed at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.policy_streams import CHANGES, DAYS
from lifecycle.backtest import Run, ungated

Line = dict[str, Any]
Floats = np.ndarray
NEVER, EVERY = "never", "every-3-ungated"
"""What all others are measured by: nothing, and a refit every 3 nights that becomes champion whatever it is like."""
GATE, SCHEDULE, WORSE, REGRET, PROMOTED, BACK = 0.97, 0.95, 0.2, 0.0003, 2, 7
"""What is aimed at: shares, promotions per run, nats, promotions of 18, nights."""


def means_of(run: Run, since: int) -> Floats:
    """Return the mean loss of each night from a place on."""
    span = slice(since - run.life.begun, None)
    return np.asarray(run.loss[span] / run.rows[span])


def line_of(runs: Sequence[Mapping[str, Run]], policy: str, since: int, changed: int | None) -> Line:
    """Return what a policy came to, as the mean of its lives; each of ``runs`` has the lives from one first night.

    Shares are those of mean gains, not means of shares. ``gate``: of what the same retrainings gain when every version becomes
    champion. ``schedule``: what these gain, of what a refit every 3 nights gains.
    """
    lives = [of[policy] for of in runs]
    loss, never, every = (np.mean([means_of(of[name], since).mean() for of in runs]) for name in (policy, NEVER, EVERY))
    same = np.mean([means_of(ungated(run) if run.policy.gated else run, since).mean() for run in lives])
    followed = [promotion for run in lives for promotion in run.followed]
    lasting = [row for row in followed if row.high < 0 and (row.back_after is None or row.back_after > BACK + 1)]
    after = [[row.night for row in run.life.promoted if changed is not None and row.night >= changed] for run in lives]
    return {
        "policy": policy,
        "log_loss": loss,
        "gain": never - loss,
        "most": never - every,
        "same": never - same,
        "gain_low_high": _interval(runs, policy, since),
        "share": _share(never - loss, never - every),
        "gate": _share(never - loss, never - same),
        "schedule": _share(never - same, never - every),
        "regret": loss - min(never, every),
        "to_never": loss - never,
        "retrainings": np.mean([len(run.life.retrained) for run in lives]),
        "promotions": np.mean([len(run.life.promoted) for run in lives]),
        "rollbacks": np.mean([len(run.life.rolled_back) for run in lives]),
        "worse": sum(run.worse for run in lives) / len(lives),
        "lasting": len(lasting) / len(lives),
        "followed": len(followed) / len(lives),
        "delay": [min(nights) - changed if nights and changed is not None else None for nights in after],
        "seconds": np.mean([run.seconds for run in lives]),
    }


def _interval(runs: Sequence[Mapping[str, Run]], policy: str, since: int) -> list[float]:
    """Return the 95 % interval of the gain over never retraining, weeks drawn, the lives averaged night by night."""
    nightly = np.mean([means_of(of[NEVER], since) - means_of(of[policy], since) for of in runs], axis=0)
    weeks = [nightly[start : start + 7] for start in range(0, len(nightly), 7)]
    sums, counts = np.array([week.sum() for week in weeks]), np.array([len(week) for week in weeks])
    drawn = np.random.default_rng(0).integers(0, len(weeks), (2_000, len(weeks)))
    return [float(end) for end in np.quantile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [0.025, 0.975])]


def _share(gain: float, most: float) -> float | None:
    return float(gain / most) if most > 0 else None


def shown(line: Line) -> Line:
    """Return a line for reading."""
    low, high = (1e4 * end for end in line["gain_low_high"])
    return {
        "stream": line.get("stream", ""),
        "window": line["window"],
        "policy": line["policy"],
        "log loss": f"{line['log_loss']:.4f}",
        "gain, 1e-4": f"{1e4 * line['gain']:+.0f} ({low:+.0f} to {high:+.0f})",
        "of every 3": percent(line["share"]),
        "gate": percent(line["gate"]),
        "schedule": percent(line["schedule"]),
        "regret, 1e-4": f"{1e4 * line['regret']:+.1f}",
        "retrainings": f"{line['retrainings']:.1f}",
        "promotions": f"{line['promotions']:.1f}",
        "rollbacks": f"{line['rollbacks']:.1f}",
        "worse": f"{line['worse']:.1f} of {line['followed']:.1f}",
        "not ended": f"{line['lasting']:.1f}",
        "CPU s": f"{line['seconds']:.0f}",
    }


def percent(share: float | None) -> str:
    """Return a share in percent, or nothing."""
    return "" if share is None else f"{share:.0%}"


def over_seeds(lines: Sequence[Line]) -> list[Line]:
    """Return a line per kind of made-up stream, window and policy: means over the seeds, shares of mean gains."""
    groups: dict[tuple[str, str, str], list[Line]] = {}
    for line in lines:
        groups.setdefault((line["stream"].split()[0], line["window"], line["policy"]), []).append(line)
    merged = []
    for (kind, window, policy), some in groups.items():
        line: Line = {"stream": kind, "window": window, "policy": policy}
        for name in (
            "log_loss",
            "gain",
            "regret",
            "to_never",
            "retrainings",
            "promotions",
            "rollbacks",
            "worse",
            "lasting",
        ):
            line[name] = float(np.mean([row[name] for row in some]))
        for name in ("followed", "seconds"):
            line[name] = float(np.mean([row[name] for row in some]))
        line["gain_low_high"] = [float(np.mean([row["gain_low_high"][end] for row in some])) for end in (0, 1)]
        most, same = (np.mean([row[name] for row in some]) for name in ("most", "same"))
        line["share"], line["gate"] = _share(line["gain"], most), _share(line["gain"], same)
        line["schedule"] = _share(float(same), float(most))
        line["delay"] = [delay for row in some for delay in row["delay"]]
        merged.append(line)
    return merged


def targets(lines: Sequence[Line], policies: Sequence[str]) -> list[Line]:
    """Return what was aimed at, what came out, and whether it is enough. Lines of made-up streams are over seeds."""
    found: list[Line] = []

    def target(what: str, line: Line, value: float | None, aim: str, kept: bool) -> None:
        where = f"{line['stream']}, {line['window']}, {line['policy']}"
        value_shown = "" if value is None else f"{value:.4g}"
        found.append(
            {"target": what, "where": where, "found": value_shown, "aim": aim, "result": "PASS" if kept else "FAIL"}
        )

    for line in (line for line in lines if line["policy"] in policies):
        if line["stream"] in ("flights", "abrupt", "gradual"):
            gate, schedule = line["gate"], line["schedule"]
            target("kept by the gate", line, gate, f"≥ {GATE}", gate is not None and gate >= GATE)
            if line["policy"] == "governor":
                target("schedule", line, schedule, f"≥ {SCHEDULE}", schedule is not None and schedule >= SCHEDULE)
        target("worse promotions a run", line, line["worse"], f"≤ {WORSE}", line["worse"] <= WORSE)
        target(f"worse, not rolled back in {BACK} nights", line, line["lasting"], "0", line["lasting"] == 0)
        if line["stream"] == "none":
            target("regret, nats", line, line["regret"], f"≤ {REGRET}", line["regret"] <= REGRET)
            promoted = 18 * line["promotions"] / max(line["retrainings"], 1)
            target("promoted, of 18", line, promoted, f"≤ {PROMOTED}", promoted <= PROMOTED)
    return found


def delays(lines: Sequence[Line]) -> list[Line]:
    """Return how many nights after a change the first promotion came, by life."""
    rows = []
    for line in lines:
        if line["stream"] in CHANGES and any(delay is not None for delay in line["delay"]):
            nights = sorted(delay if delay is not None else len(DAYS) for delay in line["delay"])
            words = {name: line[name] for name in ("stream", "window", "policy")}
            rows.append({**words, "median": float(np.median(nights)), "worst": nights[-1]})
    return rows
