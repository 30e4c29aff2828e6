"""What retraining policies gain on the flights year and on made-up streams, and what they cost.

A year is lived night by night under each policy with the project's own governor, gate and rollback; every model is fitted
once and kept, so a policy is a matter of look-ups. Exit code 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.policy_runs import Policy, Run, default_rule, every, governor, lived, monthly, never
from bench.policy_streams import CHANGE, KINDS, LATER, NIGHT_EFFECT, flights, made_up
from bench.policy_tables import EVERY, NEVER, Line, lines_of, over_seeds, phases_of, shown, shown_brier, targets
from bench.policy_world import FIRST, World
from cli.tables import table
from scoring.job import PromotionPolicy, RetrainingPolicy
from scoring.settings import HOME

WINDOWS = ("expanding", "sliding")
SEEDS, GOVERNED, FEW = 5, 3, 2
"""Made-up streams of a kind, on how many the governor, which takes longest, is asked, and how many whose inputs move."""
PHASES = (0, 3, 6, 9, 12)
FORMER = RetrainingPolicy(max_age_nights=120)
"""The governor's defaults before this benchmark."""
GATE, UNSURE = PromotionPolicy(), PromotionPolicy(confidence=0.8)
NOT_WORSE = PromotionPolicy(evidence="not_worse")
DEFAULTS, ASKED = "governor, gate", "every 15 nights, gate"
CHOSEN = [
    (
        "retraining.max_age_nights",
        RetrainingPolicy().max_age_nights,
        "made-up streams, limit of 18; the year with 120 had been seen",
    ),
    ("promotion.evidence, confidence", f"{GATE.evidence}, {GATE.confidence:.0%}", "as before; made-up streams agree"),
    ("not_worse", "not the default", "made after the gate was seen on the year"),
    ("all others", "", "as before"),
]


def _say(line: str, began: float) -> None:
    print(f"{time.monotonic() - began:5.0f} s  {line}", file=sys.stderr, flush=True)


def plain_policies() -> list[Policy]:
    """Return the policies that people have, none with a gate, and the usual drift rule."""
    return [
        Policy(NEVER, never),
        Policy("weekly, no gate", every(7)),
        Policy(EVERY, every(1)),
        Policy("Evidently's default, 7 nights' rest, no gate", default_rule),
    ]


def governed_policies() -> list[Policy]:
    """Return the governor with its defaults, by what stands between a trained version and the crown."""
    now = governor(RetrainingPolicy())
    return [
        Policy("governor, age 120, gate", governor(FORMER), GATE),
        Policy(DEFAULTS, now, GATE),
        Policy("governor, gate that asks for not worse", now, NOT_WORSE),
        Policy("governor, no gate", now, evaluates=True),
    ]


def flights_policies() -> list[Policy]:
    """Return all policies for the flights."""
    first = [*plain_policies(), Policy("monthly, no gate", monthly), *governed_policies()]
    first.append(Policy("governor, age 120, no gate", governor(FORMER), evaluates=True))
    first.append(Policy("governor, gate at 80 %", governor(RetrainingPolicy()), UNSURE))
    gates = {"gate": GATE, "gate at 80 %": UNSURE, "not worse": NOT_WORSE, "no gate": None}
    for name, gate in gates.items():
        first += [Policy(f"every 15 nights, {name}, begun {later} later", every(15, later), gate) for later in PHASES]
    return first


def made_up_policies(governed: bool) -> list[Policy]:
    """Return the policies for made-up streams; among them the ages that the governor's default was chosen from."""
    ages = [
        Policy(f"governor, age {age}, gate", governor(RetrainingPolicy(max_age_nights=age)), GATE) for age in (20, 30)
    ]
    spaced = [
        Policy(ASKED, every(15), GATE),
        Policy("every 15 nights, gate at 80 %", every(15), UNSURE),
        Policy("every 15 nights, not worse", every(15), NOT_WORSE),
        Policy("every 15 nights, no gate", every(15)),
    ]
    return [*plain_policies(), *spaced, *([*governed_policies(), *ages] if governed else [])]


def measured(world: World, policies: Sequence[Policy], began: float) -> list[Line]:
    """Return a line per window and policy."""
    if not world.load():
        for window in WINDOWS:
            for until in range(FIRST, len(world.days)):
                world.sums(world.version(window, until))
        world.save()
        _say(f"{world.name}: fitted", began)
    before, found = len(world.fits), []
    for window in WINDOWS:
        runs: list[Run] = [lived(world, window, policy) for policy in policies]
        found += lines_of(runs)
        _say(f"{world.name}, {window} window", began)
    if len(world.fits) > before:
        world.save()
    return found


def _print(made: Line) -> None:
    table("made-up streams", ("stream", "what happens"), KINDS.items())
    table("what was chosen on which data", ("setting", "default", "chosen on"), CHOSEN)
    single = [line for line in made["flights"] if ", begun " not in line["policy"]]
    for title, lines in (
        (
            "flights, 1 April to 31 December: log loss (nats) and Brier score, means of nights, 95 % over weeks",
            [shown(line) for line in single],
        ),
        ("flights: Brier score, paired", [shown_brier(line) for line in single]),
        ("flights: share of every night's gain by first night (promotions of retrainings)", phases_of(made["flights"])),
        ("made-up streams: means over seeds", over_seeds(made["made_up"])),
        ("targets", made["targets"]),
    ):
        if lines:
            table(title, list(lines[0]), [[one.get(name, "") for name in lines[0]] for one in lines])


def main() -> int:
    """Measure, print the tables, write the JSON; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.retraining_policies", description="Measure retraining policies."
    )
    parser.add_argument("--seeds", type=int, default=SEEDS, help="made-up streams of a kind; 0 for the flights only")
    parser.add_argument("--json", type=Path, default=HOME / "bench" / "results" / "retraining_policies.json")
    asked = parser.parse_args()
    began = time.monotonic()
    lines: list[Line] = []
    for seed in range(asked.seeds):
        for kind in KINDS:
            if kind != "inputs" or seed < FEW:
                lines += measured(made_up(kind, seed), made_up_policies(seed < GOVERNED), began)
    flown = measured(flights(), flights_policies(), began)
    made = {
        "flights": flown,
        "made_up": lines,
        "targets": targets(flown, lines, DEFAULTS, ASKED),
        "chosen": CHOSEN,
        "streams": {"kinds": KINDS, "change": CHANGE, "later": LATER, "night_effect": NIGHT_EFFECT},
        "seconds": time.monotonic() - began,
    }
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(made, indent=1, default=str) + "\n", encoding="utf-8")
    _print(made)
    _say(f"written: {asked.json.name}", began)
    return 0 if all(one["result"] == "PASS" for one in made["targets"]) else 1


if __name__ == "__main__":
    sys.exit(main())
