"""What every refit has gained, one row each, with the prior and what they say together: a forest plot."""

from __future__ import annotations

from dataclasses import dataclass

from pages.plots.canvas import BOTTOM, RIGHT, TOP, WIDTH, tick_label, ticks
from scoring.stores.warehouse import Block, Pooled

NAMES = 250
"""Room for the names of the stretches, left of the plot."""
ROW = 22
SHOWN = 24
"""Stretches that are drawn, the heaviest ones."""
SURE = 1.96
"""Standard deviations of a 95 % interval of a normal distribution."""


@dataclass(frozen=True)
class Stretch:
    """A row of the plot: a square at the gain, as large as its weight, on the line of its interval."""

    name: str
    title: str
    kind: str
    """``block``, ``direct``, ``prior`` or ``pooled``."""
    x: float
    y: float
    low: float
    high: float
    half: float
    """Half the side of the square."""


@dataclass(frozen=True)
class ForestPlot:
    """The stretches, the prior and what follows from both, around the smallest gain that matters."""

    title: str
    unit: str
    rows: list[Stretch]
    x_ticks: list[tuple[float, str]]
    zero: float
    needed: float
    height: int
    bottom: int
    more: int
    """Stretches of little weight that are not drawn."""
    width: int = WIDTH
    left: int = NAMES
    top: int = TOP


def forest_plot(pool: Pooled | None, needed: float, challenger: int, loss: str, unit: str) -> ForestPlot | None:
    """Return the plot of what refits have gained, or None when nothing was pooled.

    ``needed`` is the smallest gain that matters, in the unit of the loss.
    """
    if pool is None or not pool.blocks:
        return None
    heaviest = sorted(pool.blocks, key=lambda block: -(block.weight or 0.0))[:SHOWN]
    blocks = sorted(heaviest, key=lambda block: (block.first, block.refit_version == challenger))
    lines = [_line(block, challenger, unit) for block in blocks]
    lines += [
        ("prior: no gain", "prior", 0.0, pool.prior_sd, 0.0),
        ("all together", "pooled", pool.mean, pool.sd, 1.0),
    ]
    ends = [end for _, _, mean, sd, _ in lines for end in (mean - SURE * sd, mean + SURE * sd)]
    steps = ticks(min(*ends, 0.0), max(*ends, needed), 6)

    def x(value: float) -> float:
        return round(NAMES + (value - steps[0]) / (steps[-1] - steps[0]) * (WIDTH - RIGHT - NAMES), 1)

    rows = []
    for place, (name, kind, mean, sd, weight) in enumerate(lines):
        title = f"{name}: {mean:+.5f} {unit}, 95 % interval {mean - SURE * sd:+.5f} to {mean + SURE * sd:+.5f}"
        title += f", weight {weight:.0%}" if kind in ("block", "direct") else ""
        y, half = TOP + (place + 0.5) * ROW, round(2.5 + 6 * min(weight, 1.0) ** 0.5, 1)
        rows.append(Stretch(name, title, kind, x(mean), y, x(mean - SURE * sd), x(mean + SURE * sd), half))
    bottom = TOP + len(lines) * ROW + 6
    return ForestPlot(
        "What refits have gained",
        f"gain in {loss} ({unit}) over a version {pool.age} nights older",
        rows,
        [(x(step), tick_label(step, steps)) for step in steps],
        x(0.0),
        x(needed),
        bottom + BOTTOM,
        bottom,
        len(pool.blocks) - len(blocks),
    )


def _line(block: Block, challenger: int, unit: str) -> tuple[str, str, float, float, float]:
    """Return name, kind, gain, standard error and weight of a stretch."""
    mean = block.gain if block.scaled is None else block.scaled
    error = block.error if block.scaled_error is None else block.scaled_error
    direct = block.refit_version == challenger
    who = "this comparison" if direct else f"version {block.refit_version}" if block.refit_version else "a trial fit"
    return (
        f"{block.first} + {block.nights} nights, {who}",
        "direct" if direct else "block",
        mean,
        error,
        block.weight or 0.0,
    )
