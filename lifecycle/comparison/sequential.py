"""Is the new champion worse than the one before? Asked every night, and right at any of them.

An e-process of nightly differences in loss: a mixture of likelihood ratios (Robbins 1970; Howard, Ramdas, McAuliffe, Sekhon,
Time-uniform nonparametric confidence sequences, 2021). If the successor is on average no worse, it ever exceeds ``1 / ALPHA``
with a probability of ``ALPHA`` at most, however often one looks. An interval of fixed confidence that is looked at every
night does so far more often.

The spread of a difference comes from the nights of the gate's comparison. Choe and Ramdas (Comparing sequential forecasters,
2024, arXiv 2110.00115) need no spread but a bound; with a bound that a blizzard does not exceed, a fortnight never suffices.
"""

from __future__ import annotations

import numpy as np

from drift.performance import Floats

ALPHA = 0.01
"""Probability of ever going back from a successor that is no worse."""
LARGEST = 3.0
"""Spreads at which a night's difference is clipped: no single night, of a blizzard say, can decide by itself."""
EFFECTS = np.geomspace(0.15, 2.4, 25)
"""Mean differences, in spreads of a night, that the process is averaged over: what can be seen within 2 to 300 nights."""


def e_values(differences: Floats, spread: float, lag: int = 1) -> Floats:
    """Return the e-process after each night, shape (nights,), against "the successor is no worse".

    ``differences`` are the nights' mean loss of the successor less that of its predecessor, oldest first; ``spread`` is the
    standard deviation of one, known beforehand. Outcomes of ``lag`` days overlap, so nights that lie so far apart make a
    process of their own, and these are averaged.
    """
    steps = np.clip(np.asarray(differences, dtype=np.float64) / spread, -LARGEST, LARGEST)
    processes = np.ones((max(lag, 1), len(steps)))
    for first, process in enumerate(processes):
        places = np.arange(first, len(steps))
        if len(places):
            process[first:] = _process(steps[first :: len(processes)])[(places - first) // len(processes)]
    return np.asarray(processes.mean(axis=0))


def _process(steps: Floats) -> Floats:
    """Return the mean over effects λ of exp(λ Σz - n λ² / 2)."""
    nights = np.arange(1, len(steps) + 1)
    exponents = np.outer(np.cumsum(steps), EFFECTS) - np.outer(nights, EFFECTS**2 / 2)
    return np.asarray(np.exp(np.minimum(exponents, 700.0)).mean(axis=1))
