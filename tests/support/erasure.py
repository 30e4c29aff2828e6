"""A job whose stores all hold rows of one customer, and a search of every store for the values of these rows."""

from __future__ import annotations

import html
import json
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from drift.measure import measure
from drift.report import Reporter
from drift.watch import watch
from lifecycle.promotion import promote
from lifecycle.shadow.score import pin, shadow_run
from lifecycle.training.train import train
from scoring.interval import Nights
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.stores.registry import VersionRef
from scoring.stores.warehouse import claim_alert, ensure_job, ledger
from tests.conftest import Toy, secret
from tests.support.customers import states, write_customers
from tests.support.toy import FIRST

WHO = 'Zoë "Q" 7491-93'
"""The customer who is forgotten: with a quote and a letter that JSON and HTML write in other ways."""
NOTE = "an unmistakable note <7492>"
"""A category that nobody else has."""
CUSTOMERS = 40
TRAINED = FIRST + timedelta(days=6)
SCORED = [TRAINED + timedelta(days=number) for number in range(3)]
BROKEN = SCORED[2]
"""The night on which the customer's row breaks the contract."""
NOTES = {"type": "category", "nullable": True}


@dataclass(frozen=True)
class Lived:
    """The job, and what is remembered of it before anything was erased."""

    toy: Toy
    superseded: str
    """A run of the first night that another one replaced."""
    version: VersionRef


def live(toy: Toy, reporter: Reporter | None = None) -> Lived:
    """Train, score and alert, so that every store has rows of the customer; pages too with a ``reporter``."""
    rows = states(9, CUSTOMERS)
    rows["note"] = np.where(np.arange(len(rows)) % 2, "usual", "other")
    his = rows["id"] == "C0000"
    rows.loc[his, "id"], rows.loc[his, "note"] = WHO, NOTE
    rows.loc[his & (rows["day"] == BROKEN), "x"] = -1000
    engine = sa.create_engine(toy.source)
    kinds: dict[Hashable, Any] = {"day": sa.Date(), "id": sa.Text()}
    rows.to_sql("states", engine, index=False, dtype=kinds)
    engine.dispose()
    features = {"x": {"type": "float", "nullable": True, "min": -50}, "kind": {"type": "category"}, "note": NOTES}
    toy.job = write_customers(
        toy.folder, toy.job.name, features=features, training={"holdout_nights": 2, "min_rows": 20}
    )
    statement = "select id, x, kind, note from states where day = :night"
    (toy.folder / "sql" / toy.job.name / "features.sql").write_text(statement)
    ensure_job(toy.work.warehouse, toy.job)
    first = train(toy.work, Nights(FIRST, TRAINED)).ref
    promote(toy.work, first.version, "test", "tests", effective_from=TRAINED)
    superseded = run(toy, SCORED[0])
    second = train(toy.work, Nights(FIRST + timedelta(days=1), TRAINED)).ref
    pin(toy.work, second.version, nights=5)
    _score(toy, reporter)
    _write_about_it(toy)
    return Lived(toy, superseded, first)


def _score(toy: Toy, reporter: Reporter | None) -> None:
    for night in SCORED:
        run_id = run(toy, night)
        shadow_run(toy.work, run_id)
        watch(toy.work, run_id, reporter if night == SCORED[1] else None)
        measure(toy.work, night)
        ledger.record(toy.work.warehouse, run_id, reason=f"looked at {WHO!r} and {NOTE}")


def _write_about_it(toy: Toy) -> None:
    alert = {"job": toy.job.name, "night": SCORED[0], "kind": "drift", "sent_at": toy.stores.clock()}
    claim_alert(toy.work.warehouse, {**alert, "message": f"row of {WHO} has {NOTE}"})
    card = {"segments": [{"column": "note", "value": NOTE}, {"who": WHO}], NOTE: 1}
    ref = toy.stores.registry.versions(toy.job.name)[0]
    toy.stores.registry.attach(ref, "model_card.json", json.dumps(card))
    toy.stores.registry.attach(ref, "model_card.html", f"<p>{html.escape(NOTE)}</p>")
    folder = next(iter(toy.work.lake.run_folders(toy.job.name).values()))
    (Path(folder) / ".writing-x").write_text(WHO)  # what a killed process left
    toy.work.lake.write_json(toy.work.lake.below(f"backtests/{toy.job.name}/backtest.json"), card)


def run(toy: Toy, night: date) -> str:
    """Score and publish a night; return the run's id."""
    return run_night(toy.work, NightRequest(night, toy.stores.clock(), "cli")).run_id


def forms(needle: str) -> set[str]:
    """Return a text as files of several kinds write it."""
    return {needle, html.escape(needle), json.dumps(needle)[1:-1], json.dumps(needle, ensure_ascii=False)[1:-1]}


def places(toy: Toy, *needles: str) -> list[str]:
    """Return every file and every table of the installation, but the source, in which one of the texts stands."""
    wanted = {form for needle in needles for form in forms(needle)}
    there = [
        str(path.relative_to(toy.folder))
        for path in sorted(toy.folder.rglob("*"))
        if path.is_file() and _has(path, wanted)
    ]
    for setting in (toy.stores.settings.warehouse_url, toy.stores.settings.registry_url):
        engine = sa.create_engine(secret(setting))
        with engine.connect() as connection:
            for table in sa.inspect(connection).get_table_names():
                rows = connection.exec_driver_sql(f'select t::text from "{table}" as t').scalars().all()
                plain = "".join(rows).replace('""', '"').replace("\\\\", "\\")  # as PostgreSQL writes a row
                there += [table] if any(form in plain for form in wanted) else []
        engine.dispose()
    return there


def _has(path: Path, wanted: set[str]) -> bool:
    content = path.read_bytes()
    if path.suffix == ".parquet":
        table = pq.read_table(pa.BufferReader(content))
        content = repr((table.to_pydict(), table.schema.metadata)).encode() + content
        wanted = wanted | {repr(form)[1:-1] for form in wanted}
    return any(form.encode() in content for form in wanted)
