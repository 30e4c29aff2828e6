"""Which model version scores a night."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import date, timedelta

from scoring.errors import ArtifactMismatch, ChampionMissing
from scoring.interval import Nights, spans
from scoring.night.request import NightRequest
from scoring.stores import Stores, Workspace
from scoring.stores.registry import VersionRef
from scoring.stores.warehouse import Promotion, promotions


def champion_version(work: Workspace, night: date) -> int:
    """Return the version that was champion at ``night``. Raises ``ChampionMissing``."""
    return _promotion(work, night).model_version


def champion_ref(work: Workspace, night: date) -> VersionRef:
    """Return the version that was champion at ``night``, to be loaded. Raises ``ChampionMissing``."""
    return promoted_ref(work.stores, _promotion(work, night))


def _promotion(work: Workspace, night: date) -> Promotion:
    history = promotions.history_of(work.warehouse, work.job.name)
    promotion = promotions.in_effect(history, night)
    if promotion is None:
        effective = sorted(str(entry.effective_from) for entry in history)
        raise ChampionMissing(
            f"champion of {work.job.name} at {night}",
            found=f"promotions effective from {effective or 'no night'}",
            next_step=f"{_way_to_a_version(work, night)}, or give a model version",
        )
    return promotion


def _way_to_a_version(work: Workspace, night: date) -> str:
    if work.job.pipeline is None:
        return f"`nightshift register {work.job.name} --model … --trained-until {night}`"
    return f"`nightshift train {work.job.name} --until {night}`"


def pinned(work: Workspace, request: NightRequest) -> VersionRef:
    """Return the version that scores the night: the one that the request names, or the champion."""
    if request.model_version is not None:
        return work.registry.resolve(work.job.name, request.model_version)
    return promoted_ref(work.stores, _promotion(work, request.night))


def no_evidence(work: Workspace, model_version: int, nights: Iterable[date]) -> list[str]:
    """Return sentences about nights on which the version's performance says nothing, since it knows their outcomes.

    Raises ``VersionMissing``. Of a version whose facts do not say what it was trained on there is nothing to say.
    """
    facts = work.registry.facts(work.registry.resolve(work.job.name, model_version))
    with suppress(ArtifactMismatch):
        seen, overlap = facts.seen, timedelta(days=max(work.job.label.horizon - 1, 0))
        near = Nights(seen.first - overlap, seen.until + overlap)
        days = [night for night in nights if night in near]
        trained = spans(night for night in days if night in seen)
        others = spans(night for night in days if night not in seen)
        sentences = [f"{_were(span)} trained on by version {model_version}" for span in trained]
        sentences += [
            f"outcomes of {span} overlap those that version {model_version} was trained on" for span in others
        ]
        return [f"{sentence}: its performance is no evidence" for sentence in sentences]
    return []


def _were(span: str) -> str:
    return f"nights {span} were" if " to " in span else f"night {span} was"


def promoted_ref(stores: Stores, promotion: Promotion) -> VersionRef:
    """Return the version that a promotion names. For old promotions without an artifact the registry is asked."""
    if promotion.model_sha256 and promotion.model_uri:
        return VersionRef(promotion.job, promotion.model_version, promotion.model_sha256, promotion.model_uri)
    return stores.registry.resolve(promotion.job, promotion.model_version)
