"""Do intervals hold what they say where the same entities come every night? Counts how often they hold the true gain.

Exit code 1 if a 95 % interval of the gate holds it in fewer than 90 % of the streams.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.panel_streams import Stream, stream, true_gain
from cli.tables import table
from drift.performance import GROUPS, Panel
from lifecycle.comparison import Losses, gain_of
from scoring.rows import row_hashes
from scoring.settings import HOME
from scoring.stores.warehouse import Gain

SEEDS, AIM = 200, 0.9
HORIZONS, SHOCKS = (1, 7, 30), (0.0, 0.15, 0.3, 0.6)
SIZES = ((1_000, 14), (60, 14), (1_000, 7))
"""Entities and nights: as the gate has them, few entities, few nights."""


def losses_of(one: Stream) -> Losses:
    """Return the losses of a stream as the gate gets them. What both versions have in common is left out of the sums."""
    ids = pa.RecordBatch.from_pydict({"id": np.arange(len(one.champion))})
    member = np.zeros((len(one.champion), GROUPS))
    member[np.arange(len(member)), (row_hashes(ids) % np.uint64(GROUPS)).astype(int)] = 1
    gains, rows = one.gains, one.present.astype(float)
    panel = Panel(tuple(one.nights), rows @ member, gains @ member, one.horizon)
    return Losses(rows.sum(axis=1), gains.sum(axis=1), np.zeros(len(gains)), panel)


def methods(losses: Losses) -> dict[str, Gain]:
    """Return the gain with its interval as the gate judges it, and as it did when only nights were drawn."""
    return {"entities and nights": gain_of(losses, 0.95), "nights only": gain_of(replace(losses, gains=None), 0.95)}


def coverage(horizon: int, shock: float, entities: int, nights: int, seeds: int) -> Iterator[dict[str, Any]]:
    """Yield for each method in how many streams its interval held the true gain, and how wide it was."""
    truth = true_gain(horizon, shock)
    every = [methods(losses_of(stream(seed, horizon, shock, entities, nights))) for seed in range(seeds)]
    for name in every[0]:
        ends = np.array([(gains[name].low, gains[name].high) for gains in every], dtype=float)
        held = float(np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1])))
        facts = {"entities": entities, "nights": nights, "horizon": horizon, "shock": shock, "true_gain": truth}
        yield {**facts, "drawn": name, "held": held, "width": float(np.mean(ends[:, 1] - ends[:, 0]))}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, write it as JSON, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--json", type=Path, default=HOME / "bench" / "results" / "gain_coverage.json")
    asked = parser.parse_args(arguments)
    lines = [
        line
        for entities, nights in SIZES
        for shock in SHOCKS
        for horizon in HORIZONS
        for line in coverage(horizon, shock, entities, nights, asked.seeds)
    ]
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")
    rows = [[f"{value:.4g}" if isinstance(value, float) else value for value in line.values()] for line in lines]
    table(f"95 % intervals of a gain, {asked.seeds} streams each", tuple(lines[0]), rows, key="coverage")
    return int(any(line["held"] < AIM for line in lines if line["drawn"] == "entities and nights"))


if __name__ == "__main__":
    sys.exit(main())
