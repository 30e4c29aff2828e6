"""Was the night unusual: distances, what is normal, the nights compared with, the verdict."""

from drift.verdict import calibration, matched, scale
from drift.verdict.baseline import BROKEN_SCORE, Past, Reference, by_column, earliest, verdict_on
from drift.verdict.detectable import smallest_shift
from drift.verdict.distance import SHAPE, SHIFT
from drift.verdict.matched import SCALE
from drift.verdict.verdict import MEANINGS, UNUSUAL, WORDS, Baseline, Night, Verdict, judge, roles_of

__all__ = [
    "BROKEN_SCORE",
    "MEANINGS",
    "SCALE",
    "SHAPE",
    "SHIFT",
    "UNUSUAL",
    "WORDS",
    "Baseline",
    "Night",
    "Past",
    "Reference",
    "Verdict",
    "by_column",
    "calibration",
    "earliest",
    "judge",
    "matched",
    "roles_of",
    "scale",
    "smallest_shift",
    "verdict_on",
]
