"""The page of a job's newest backtest: what retraining policies would have lost, and how fast the model ages."""

from __future__ import annotations

from datetime import date
from typing import Any

from pages.content.overview import description_of
from pages.content.places import Places, View
from pages.plots import ageing_plot, policy_plot
from scoring.errors import LakeFileMissing
from scoring.stores.warehouse import overview


def backtest_page(places: Places, job: str) -> View | None:
    """Return the newest backtest of a job with its plots, without figures if there is none, or None for an unknown job."""
    if not overview.statuses(places.warehouse, [job]) and places.job(job) is None:
        return None
    view: View = {"job": job, "description": description_of(places, job), "result": None}
    try:
        result = places.lake.read_json(places.lake.below(f"backtests/{job}/backtest.json"))
    except LakeFileMissing:
        return view
    days = [date.fromisoformat(day) for day in result["days"]]
    advice: dict[str, Any] = result["recommendation"] or {}
    return {
        **view,
        "result": result,
        "lines": result["policies"],
        "chosen": advice.get("policy"),
        "advice": advice,
        "curves": policy_plot(result, days),
        "ageing": ageing_plot(result),
        "retrained": [(line["policy"], line["retrained"]) for line in result["policies"] if line["retrained"]],
    }
