"""What the page of a model version shows: its card, what became of it since, and how it did in the shadow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import zip_longest

from drift.performance import LOSS_UNITS
from pages.content.metric import Metric, metrics_of
from pages.content.places import Places, View
from pages.content.retrainings import ASKED, retraining_of_version, shadow_views
from pages.plots import calibration_plot, forest_plot, gain_plot, importance_plot
from scoring.stores.warehouse import (
    Evaluation,
    Gain,
    Metrics,
    NightLosses,
    Promotion,
    Row,
    champion_at,
    overview,
    promotions,
    retrainings,
)

SIDES = ("challenger", "champion")


@dataclass(frozen=True)
class Pair:
    """A metric of the challenger, and of the champion, or None without one."""

    challenger: Metric
    champion: Metric | None


@dataclass(frozen=True)
class Reign:
    """Nights of which a version was champion, from one promotion on."""

    promotion: Promotion
    until: date | None
    """The first night of its successor, or None while there is none."""

    @property
    def empty(self) -> bool:
        """Return whether another promotion took its first night already."""
        return self.until is not None and self.until <= self.promotion.effective_from


def card_view(card: Row) -> View:
    """Return a model card for the template. ``card`` is what ``lifecycle.comparison.model_card`` wrote."""
    evaluation = Evaluation.from_json(card["evaluation"])
    unit = LOSS_UNITS.get(evaluation.loss, "")
    gain, rival = evaluation.gain, evaluation.champion
    labels = {"challenger": f"version {card['version']}", "champion": f"champion {rival.version}" if rival else ""}
    since, until = (date.fromisoformat(card["data"][name]) for name in ("since", "until"))
    return {
        "card": {"prediction": "", **card},  # which cards from before do not say
        "evaluation": evaluation,
        "unit": unit,
        "nights": (until - since).days,
        "decision": _decision(card["gate"]),
        "asked": ASKED.get(card["asked"]["trigger"], card["asked"]["trigger"]),
        "rival": rival,
        "metrics": _pairs(evaluation.metrics),
        "gain": gain,
        "sure": f"{100 * gain.confidence:g} %" if gain else "",
        "gains": [_gain(night) for night in evaluation.by_night],
        "segments": evaluation.segments,
        "refits": evaluation.refits,
        "forest": forest_plot(evaluation.refits, _needed(card, gain), card["version"], evaluation.loss, unit),
        "needed": _needed(card, gain),
        "since_change": evaluation.since_change,
        "gain_plot": gain_plot(evaluation.by_night, gain, evaluation.loss, unit),
        "calibration_plot": calibration_plot(evaluation.calibration, labels),
        "calibration": [
            (labels[side], evaluation.calibration[side]) for side in SIDES if side in evaluation.calibration
        ],
        "importance_plot": importance_plot(evaluation.importance, card.get("sensitive", [])),
        "importance": sorted(evaluation.importance.items(), key=lambda item: (-item[1], item[0])),
    }


def _needed(card: Row, gain: Gain | None) -> float:
    """Return the smallest gain that matters, in the unit of the loss. Cards from before do not say, and then it is 0."""
    champion = gain.champion if gain is not None else None
    return float(card.get("promotion", {}).get("min_gain", 0.0)) * (champion or 0.0)


def _decision(gate: Row | None) -> View:
    """Return the gate's word, the colour of its badge, the reason and the checks."""
    if gate is None:
        return {"word": "not judged yet", "kind": "", "reason": "The gate has not spoken yet.", "checks": []}
    word, kind = ("passed", "ok") if gate["passed"] else ("refused", "alert")
    return {"word": word, "kind": kind, "reason": gate["reason"], "checks": gate["checks"]}


def _pairs(metrics: Mapping[str, Metrics]) -> list[Pair]:
    rival = {metric.name: metric for metric in metrics_of(metrics.get("champion", {}))}
    return [Pair(metric, rival.get(metric.name)) for metric in metrics_of(metrics["challenger"])]


def _gain(night: NightLosses) -> View:
    """Return a night with mean losses per row and the gain."""
    champion, challenger = night.means
    gain = None if champion is None or challenger is None else champion - challenger
    return {"night": night.night, "rows": night.rows, "champion": champion, "challenger": challenger, "gain": gain}


def version_page(places: Places, job: str, version: int) -> View | None:
    """Return what is known of a version: its card if it has one, its reigns, its nights in the shadow.

    None for a version that the warehouse never heard of.
    """
    warehouse = places.warehouse
    card = retrainings.card(warehouse, job, version)
    history = promotions.history_of(warehouse, job)
    retraining = retraining_of_version(warehouse, job, version)
    stays = shadow_views(warehouse, job, places.job(job))
    own_stays = [stay for stay in stays if stay["model_version"] == version]
    reigns = [reign for reign in reigns_of(history) if reign.promotion.model_version == version]
    if not (card or retraining or own_stays or reigns):
        return None
    status = next(iter(overview.statuses(warehouse, [job])), None)
    return {
        "job": job,
        "version": version,
        "view": card_view(card) if card else None,
        "retraining": retraining,
        "standing": _standing(version, history, own_stays, retraining),
        "reigns": reigns[::-1],
        "shadows": own_stays,
        "beside": [stay for stay in stays if stay["champion_version"] == version and stay["model_version"] != version],
        "description": status["description"] if status else "",
        "champion": champion_at(history, date.max),
        "carded": retrainings.versions_with_card(warehouse, job),
    }


def reigns_of(history: Sequence[Promotion]) -> list[Reign]:
    """Return the nights that every promotion was in effect, in the order of the nights. Of one night the last counts."""
    ordered = sorted(history, key=lambda promotion: promotion.effective_from)
    return [
        Reign(promotion, after.effective_from if after else None)
        for promotion, after in zip_longest(ordered, ordered[1:])
    ]


def _standing(version: int, history: Sequence[Promotion], stays: Sequence[View], retraining: View | None) -> View:
    """Return what the version is now, in words, and the colour of its badge."""
    if champion_at(list(history), date.max) == version:
        return {"word": "champion", "kind": "ok"}
    role = next((stay["role"] for stay in stays if stay["open"]), None)
    if role is not None:
        return {"word": f"{role} in the shadow", "kind": "held"}
    if retraining is not None and retraining["open"]:
        return {"word": "challenger", "kind": "held"}
    crowned = any(promotion.model_version == version for promotion in history)
    return {"word": "champion before" if crowned else "never champion", "kind": ""}
