"""The model card of a version: data, metrics with intervals, comparison and decision, as JSON and as a page."""

from __future__ import annotations

import json
from dataclasses import replace

from pages.content import card_view
from pages.rendering import render
from scoring.job import HIDDEN_VALUE, Job
from scoring.stores import Workspace
from scoring.stores.registry import VersionRef
from scoring.stores.warehouse import Evaluation, Retraining, Row, Segment

_FACTS = [
    "since",
    "until",
    "fitted_until",
    "evaluated_until",
    "rows",
    "extracted",
    "quarantined",
    "snapshot",
    "recipe_sha256",
    "features_sql_sha256",
    "labels_sql_sha256",
    "trained_at",
    "code_version",
    "library_versions",
    "refit",
]
"""Training facts that the card shows as its data."""


def card_of(work: Workspace, ref: VersionRef, evaluation: Evaluation, retraining: Retraining) -> Row:
    """Return the card of a version that was compared, before the gate spoke, for JSON.

    Values of sensitive columns are hidden here, so that the gate, which judges by the card, names none either.
    """
    facts = work.registry.facts(ref)
    data = facts.as_json()
    masked = replace(evaluation, segments=[_shown(segment, work.job) for segment in evaluation.segments])
    request = {
        "retraining_id": retraining.retraining_id,
        "trigger": retraining.trigger,
        "reason": retraining.reason,
        "decision_id": retraining.decision_id,
        "night": str(retraining.night),
    }
    return {
        "job": work.job.name,
        "description": work.job.description,
        "owner": work.job.owner,
        "task": work.job.task.name,
        "version": ref.version,
        "sha256": ref.sha256,
        "made_at": work.clock().isoformat(),
        "data": {name: data[name] for name in _FACTS},
        "training": work.job.training.model_dump(mode="json"),
        "promotion": work.job.promotion.model_dump(mode="json"),
        "asked": request,
        "gate": None,
        "evaluation": masked.as_json(),
        "sensitive": sorted(work.job.sensitive),
        "prediction": facts.rule(work.job).decision.words,
        "scored_by": facts.scored_by,
    }


def _shown(segment: Segment, job: Job) -> Segment:
    return replace(segment, value=HIDDEN_VALUE) if segment.column in job.sensitive else segment


def page_of(card: Row) -> dict[str, str]:
    """Return the files of a card by name: the JSON, and a page that stands by itself."""
    page = render("card_file", "", {"view": card_view(card)})
    return {"model_card.json": json.dumps(card, indent=1), "model_card.html": page}
