"""One night of the toy job: how it is run, what analysts see of it, and what they must see."""

from __future__ import annotations

from datetime import UTC, date, datetime

from scoring.night.publish import Published
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.rows.prediction import to_frame
from scoring.stores.reading import feature_batches
from tests.conftest import Toy
from tests.support.toy import NIGHT


def request(night: date = NIGHT, model_version: int | None = None) -> NightRequest:
    """Return what asks for a night now."""
    return NightRequest(night, datetime.now(UTC), "test", model_version=model_version)


def run(toy: Toy, night: date = NIGHT, model_version: int | None = None) -> Published:
    """Score and publish a night."""
    return run_night(toy.work, request(night, model_version))


def shown(toy: Toy, columns: str = "id, prediction, probability", night: date = NIGHT) -> list[tuple]:
    """Return the rows that the view shows of a night, by key."""
    view = f"{toy.job.name}_predictions"
    return toy.stores.warehouse.query(f"select {columns} from {view} where night = '{night}' order by id")[1]


def expected(toy: Toy) -> list[tuple]:
    """What the champion says of the night's rows, computed from the source without the pipeline's machinery."""
    from scoring.interval import DataInterval

    ref = toy.stores.registry.versions(toy.job.name)[0]
    pipeline = toy.stores.registry.load(ref, toy.job).pipeline
    with feature_batches(toy.work, DataInterval.of_night(NIGHT, "UTC")) as batches:
        parts = [part.accepted for _, part in batches]
    rows = [
        (int(key), bool(p >= 0.5), float(p))
        for part in parts
        for key, p in zip(
            part.column("id").to_pylist(), pipeline.predict_proba(to_frame(part, toy.job))[:, 1], strict=True
        )
    ]
    return sorted(rows)
