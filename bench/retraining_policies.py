"""What retraining policies gain and cost: the backtest of ``nightshift backtest``, on the flights year and made-up streams.

Every policy is lived from five first nights; what a gate keeps and what a schedule gains are told apart. Exit code 1 if a
target is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.policy_streams import CACHE, CHANGE, FIRST, KINDS, LATER, NIGHT_EFFECT, Stream, flights, made_up
from bench.policy_tables import EVERY, NEVER, Line, delays, line_of, over_seeds, shown, targets
from cli.tables import table
from lifecycle.backtest import Fits, Policy, Run, governor, lived, policy_of
from scoring.job import PromotionPolicy, RetrainingPolicy
from scoring.settings import HOME

WINDOWS = ("expanding", "sliding")
SEEDS = 2
"""Made-up streams of a kind."""
PHASES = (0, 3, 6, 9, 12)
"""First nights, so many later than the first that there is: with one of them a result is luck."""
SINCE = FIRST + 1 + max(PHASES)
"""Place of the first night that every life has."""
JUDGED = ("every-15", "governor")
"""Policies that are held against what was aimed at."""
GATES = {"better, 95 %": PromotionPolicy(evidence="better"), "not worse": PromotionPolicy(evidence="not_worse")}
CHOSEN = [
    ("retraining.max_age_nights", RetrainingPolicy().max_age_nights, "made-up streams; the year had been seen"),
    ("promotion.min_gain", PromotionPolicy().min_gain, "made-up streams where nothing changes, or something abruptly"),
    ("promotion.probability", PromotionPolicy().probability, "by argument"),
    ("calibration's evidence, clip and spread of a rollback, expected creep", "", "after the flights had been seen"),
    ("the governor's drift", "left out", "its references would take most of the time; the rest decides"),
]


def policies(stream: Stream) -> list[Policy]:
    """Return the policies that are lived. The governor is asked without drift; the gate is the job's, or one of ``GATES``."""
    names = (NEVER, EVERY, "every-15-ungated", "every-15", "governor")
    more = () if stream.made_up else ("every-6-ungated", "monthly-ungated", "governor-ungated")
    found = [policy for name in (*names, *more) if (policy := policy_of(name)) is not None]
    found = [replace(row, trigger=governor(watched=False)) if row.name.startswith("governor") else row for row in found]
    spaced = next(policy for policy in found if policy.name == "every-15")
    return [*found, *(replace(spaced, name=f"every-15, {name}", promotion=gate) for name, gate in GATES.items())]


def measured(stream: Stream, window: str, keep: bool, left_out: tuple[str, ...], began: float) -> list[Line]:
    """Return a line per policy of a stream and window, but for those whose names begin with one of ``left_out``."""
    asked = [policy for policy in policies(stream) if not policy.name.startswith(left_out)]
    history = stream.history(window)
    fits = Fits(history, CACHE / f"{stream.name}-{window}-{history.digest}" if keep else None)
    runs = [{policy.name: _lived(fits, policy, phase) for policy in asked} for phase in PHASES]
    named = {"stream": stream.name, "window": window}
    lines = [{**named, **line_of(runs, policy.name, SINCE, stream.changed)} for policy in asked]
    _say(f"{stream.name}, {window} window: {fits.made} fits", began)
    for line in lines:
        _say(", ".join(str(value) for value in list(shown(line).values())[2:12]), began)
    return lines


def _lived(fits: Fits, policy: Policy, phase: int) -> Run:
    return lived(fits, policy, fits.history.first + phase)


def _say(line: str, began: float) -> None:
    print(f"{time.monotonic() - began:5.0f} s  {line}", file=sys.stderr, flush=True)


def _print(title: str, lines: Sequence[Line]) -> None:
    if lines:
        table(title, list(lines[0]), [[line.get(name, "") for name in lines[0]] for line in lines])


def main() -> int:
    """Measure, print the tables, write the JSON; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.retraining_policies", description="Measure retraining policies."
    )
    parser.add_argument("--seeds", type=int, default=SEEDS, help="made-up streams of a kind; 0 for the flights only")
    parser.add_argument("--kinds", default=",".join(KINDS), help="kinds of made-up streams")
    parser.add_argument("--windows", default=",".join(WINDOWS), help="training windows")
    parser.add_argument("--no-flights", action="store_true", help="made-up streams only")
    parser.add_argument("--json", type=Path, default=HOME / "bench" / "results" / "retraining_policies.json")
    parser.add_argument("--without", default="", help="policies to leave out, by the beginning of their names")
    asked = parser.parse_args()
    left_out = tuple(asked.without.split(",")) if asked.without else ()
    began, windows = time.monotonic(), asked.windows.split(",")
    streams = [(kind, seed) for seed in range(asked.seeds) for kind in asked.kinds.split(",")]
    made = [
        line
        for window in windows
        for kind, seed in streams
        for line in measured(made_up(kind, seed), window, False, left_out, began)
    ]
    year = None if asked.no_flights else flights()
    flown = (
        [] if year is None else [line for window in windows for line in measured(year, window, True, left_out, began)]
    )
    seeds = over_seeds(made)
    aims = targets([*flown, *seeds], JUDGED)
    content = {
        "flights": flown,
        "made_up": made,
        "targets": aims,
        "chosen": CHOSEN,
        "seconds": time.monotonic() - began,
    }
    content["streams"] = {"kinds": KINDS, "change": CHANGE, "later": LATER, "night_effect": NIGHT_EFFECT}
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
    table("made-up streams", ("stream", "what happens"), KINDS.items())
    table("what was chosen on which data", ("setting", "default", "chosen on"), CHOSEN)
    _print(
        "flights, 14 April to 31 December: mean of five first nights, 95 % over weeks", [shown(line) for line in flown]
    )
    _print("made-up streams: means over seeds and first nights", [shown(line) for line in seeds])
    _print("nights from a change to the first promotion", delays(seeds))
    _print("targets", aims)
    _say(f"written: {asked.json.name}", began)
    return 0 if all(line["result"] == "PASS" for line in aims) else 1


if __name__ == "__main__":
    sys.exit(main())
