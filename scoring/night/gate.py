"""The publish gate: the reasons to hold a night."""

from __future__ import annotations

import numpy as np

from scoring.job import Job
from scoring.rows import NO_NIGHTS, ROUNDING, Summary, UsualNights, allowed_shift, one_value_is_usual


def gate_reasons(
    job: Job, scored: Summary, quarantined: int, reference: Summary, usual: UsualNights = NO_NIGHTS
) -> list[str]:
    """Return why the publish gate refuses a night, one sentence each. An empty list means it passes."""
    gate = job.gate
    extracted = scored.rows + quarantined
    share = quarantined / extracted if extracted else 0.0
    reasons = []
    if scored.rows < gate.min_rows:
        reasons.append(f"{scored.rows} rows scored, gate.min_rows is {gate.min_rows}")
    if share > gate.max_quarantine_share:
        reasons.append(f"{share:.1%} of rows quarantined, gate.max_quarantine_share is {gate.max_quarantine_share:.1%}")
    if scored.nulls:
        reasons.append(f"{scored.nulls} null predictions")
    if scored.rows and reference.rows:
        reasons += _strange_predictions(job, scored, reference, usual)
    return reasons


def _strange_predictions(job: Job, scored: Summary, reference: Summary, usual: UsualNights) -> list[str]:
    """Return the reasons in the distribution of the predictions, compared with the reference."""
    reasons = []
    size = float(np.sqrt(reference.squares / reference.rows))
    facts = {"mean": reference.mean, "sd": reference.sd, "size": size}
    allowed = allowed_shift(job, facts, usual, scored.rows)
    shift = abs(scored.mean - reference.mean)
    if shift > allowed.shift + ROUNDING * size:
        far = f"{shift / reference.sd:.1f} reference sd" if reference.sd > ROUNDING * size else f"{shift:.3g}"
        reasons.append(
            f"mean prediction {scored.mean:.4g} lies {far} from the reference mean {reference.mean:.4g}, {allowed.because}"
        )
    varied = reference.sd > ROUNDING * size and not one_value_is_usual(scored.rows, usual)
    if scored.rows >= 100 and scored.low == scored.high and varied:
        reasons.append(f"all {scored.rows} predictions are {scored.mean:.4g}, the reference sd is {reference.sd:.4g}")
    return reasons
