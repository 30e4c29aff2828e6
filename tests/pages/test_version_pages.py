"""Model cards, as files and as pages, and what the pages say of retrainings and of versions in the shadow."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from lifecycle.comparison.model_card import page_of
from lifecycle.retraining.record import RetrainingRequest, begin, fail
from lifecycle.retraining.tasks import retrain
from lifecycle.shadow.review import measure, review
from lifecycle.shadow.score import pin, shadow_run
from pages.content.places import Places
from pages.content.version import reigns_of, version_page
from pages.rendering.render import render
from scoring.errors import NightshiftError
from scoring.job.definition import HIDDEN_VALUE
from scoring.stores.installation import Stores
from scoring.stores.warehouse import Retraining, Shadow, ledger, monitoring, promotions, retrainings, shadows
from scoring.stores.warehouse.promotions import Promotion
from scoring.stores.warehouse.span import Span
from tests.conftest import Toy
from tests.support.living import DAY, add_nights, live, nights
from tests.support.pages import EVIL, Read, home, read
from tests.support.toy import FIRST, NIGHT, TRAIN_NIGHTS, execute, train_champion, write_job

pytestmark = pytest.mark.slow

LEARNT = 8
LAST = NIGHT + LEARNT * DAY
"""The night after which the tests retrain."""
POLICY = {"min_nights": 3, "segments": ["kind"], "max_latency_ratio": 1000.0}
SENSITIVE = {"x": {"type": "float", "nullable": True, "min": -50}, "kind": {"type": "category", "sensitive": True}}
VALUES = ("alpha-clinic", "beta-clinic", "gamma-clinic")
Json = dict[str, Any]


def turned(rows: pd.DataFrame) -> pd.DataFrame:
    """Return events whose outcome follows from the opposite of what it did before."""
    return rows.assign(y=~rows.y)


def named(rows: pd.DataFrame) -> pd.DataFrame:
    """Return events whose categories are words that stand nowhere else."""
    return rows.assign(kind=rows.kind.map(dict(zip("abc", VALUES, strict=True))))


def retrained(toy: Toy, turn: bool = True, **request: Any) -> Retraining:
    """Retrain on nights of which the champion knows nothing, and return the retraining."""
    add_nights(toy, nights(LEARNT), turned if turn else lambda rows: rows)
    if not toy.job.promotion.segments:
        toy.change(promotion=POLICY, training={"holdout_nights": 4})
    return retrain(toy.work, RetrainingRequest("more data", night=LAST, **request))


def card_of(toy: Toy, version: int) -> Json:
    card = retrainings.card(toy.stores.warehouse, toy.job.name, version)
    assert card is not None
    return card


def standing_alone(card: Json) -> Read:
    """Return a card's page, after what must hold of every such file."""
    files = page_of(card)
    assert json.loads(files["model_card.json"]) == card
    text = files["model_card.html"]
    page = Read(text)
    assert {"script", "iframe", "form", "img", "link", "object", "a"} & set(page.tags) == set()
    assert [name for name, _ in page.attributes if name.startswith("on") or name == "style"] == []
    assert page.links == []
    style = text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert ("content", f"default-src 'none'; style-src 'sha256-{digest}'") in page.attributes
    return page


def version_of(toy: Toy, version: int) -> Read:
    """Return the page of a version as Airflow has it, without Airflow."""
    places = Places(toy.stores.warehouse, toy.stores.lake, lambda name: toy.job)
    view = version_page(places, toy.job.name, version)
    assert view is not None
    return Read(render("version", "/nightshift", view))


def text_of(page: Read) -> str:
    return page.words


# ---------------------------------------------------------------- what a card says


def test_card_of_a_version_that_took_the_crown(client: TestClient, toy: Toy) -> None:
    row = retrained(toy, airflow_run_id="manual__2024-01-14T00:00:00+00:00")
    assert row.state == "promoted", row.detail
    card = card_of(toy, 2)
    page = read(client, f"{home(toy)}/versions/2")
    for words in (text_of(standing_alone(card)), page.words):
        assert "passed" in words
        assert card["gate"]["reason"] in words
        assert all(check["sentence"] in words for check in card["gate"]["checks"])
        assert f"{row.retraining_id}, asked for by a person" in words
        assert "more data" in words
        assert f"{row.since} until {row.until} (not included)" in words
        assert card["sha256"] in words
        assert card["data"]["snapshot"] in words
        assert "scikit-learn" in words
        assert "4 of 4 nights" in words
        assert "800 rows" in words
        assert "Version 2 Champion 1 Better" in words
        assert "larger is better" in words
        assert "nats" in words
        assert "95 % interval" in words
        assert "Calibration" in words
        assert "version 2, circles" in words
        assert "champion 1, squares" in words
        assert "(better)" in words
        assert "Artifact, MB" in words
    assert ("class", "bar better") in page.attributes
    assert ("class", "bar worse") in page.attributes  # of the legend
    assert page.attributes.count(("class", "bar better")) == 5
    assert f"/nightshift{home(toy)}/nights/{LAST}" in page.links
    assert f"/nightshift{home(toy)}/nights/{card['evaluation']['holdout']['last']}" in page.links
    champion = promotions.history_of(toy.stores.warehouse, toy.job.name)[-1]
    assert f"{champion.effective_from} still is promotion nightshift" in page.words
    assert f"retraining {row.retraining_id}: " in page.words
    assert "/dags/" + toy.job.name + "_retraining/runs/manual__2024-01-14T00%3A00%3A00%2B00%3A00" in " ".join(
        page.links
    )
    before = read(client, f"{home(toy)}/versions/1").words
    assert f"{champion.effective_from} promotion" in before
    assert "predecessor in the shadow" in before
    assert "No model card" in before
    assert "No retraining made it" in before
    assert "predecessor: was champion" in before
    assert "No night scored in the shadow yet" in before
    framed = client.get(f"{home(toy)}/versions/2".lstrip("/"), headers={"sec-fetch-dest": "iframe"})
    assert "/dags/" not in framed.text  # Airflow's frame lets no link out


def test_files_of_a_card_are_kept_with_the_version(toy: Toy) -> None:
    retrained(toy)
    ref, card = toy.stores.registry.resolve(toy.job.name, 2), card_of(toy, 2)
    assert card["gate"]["passed"]
    assert toy.stores.registry.content(ref, "model_card.json") == card
    kept = Path(urlsplit(ref.uri).path) / "model_card.html"
    assert kept.read_text(encoding="utf-8") == page_of(card)["model_card.html"]


def test_card_of_a_version_that_was_refused(client: TestClient, toy: Toy) -> None:
    row = retrained(toy, turn=False)
    assert row.state == "refused"
    page = read(client, f"{home(toy)}/versions/2").words
    for words in (page, text_of(standing_alone(card_of(toy, 2)))):
        assert "Decision of the gate refused gain in log loss" in words
        assert "not passed" in words
    assert "It was never champion; version 1 is" in page
    assert "never champion" in page
    assert "It never scored in the shadow" in page


def test_card_before_the_gate_spoke(toy: Toy) -> None:
    retrained(toy)
    words = standing_alone({**card_of(toy, 2), "gate": None}).words
    assert "not judged yet The gate has not spoken yet" in words


def test_card_of_a_first_version_has_no_champion(untrained: Toy) -> None:
    untrained.change(promotion=POLICY, training={"holdout_nights": 3})
    retrain(untrained.work, RetrainingRequest("first", night=NIGHT))
    for page in (standing_alone(card_of(untrained, 1)), version_of(untrained, 1)):
        assert "none: the first version" in page.words
        assert "on the holdout, always saying the base rate of the nights before has" in page.words
        assert "Gain per night" not in page.words
        assert "Challenger and champion" not in page.words
        assert "Champion None" not in page.words
        assert "Loss against" not in page.words
        assert "version 1, circles" in page.words
        assert "The version had not seen these nights" in page.words
        assert "auc" in page.words
        assert "kind" in page.words


def test_card_without_a_holdout_says_so(untrained: Toy) -> None:
    untrained.change(promotion=POLICY, training={"holdout_nights": 40})
    retrain(untrained.work, RetrainingRequest("first", night=NIGHT))
    for page in (standing_alone(card_of(untrained, 1)), version_of(untrained, 1)):
        assert "Nothing was measured: there was no holdout night left" in page.words
        assert "No night: of 0" in page.words


def test_card_of_a_comparison_without_a_night(toy: Toy) -> None:
    retrained(toy)
    card = card_of(toy, 2)
    found = card["evaluation"]
    nothing = dict.fromkeys(("champion", "challenger", "value", "low", "high"))
    empty = {
        "gain": {"nights": 0, "rows": 0, **nothing, "confidence": 0.95},
        "by_night": [],
        "segments": [],
        "calibration": {},
        "metrics": {"challenger": {}, "champion": {}},
        "importance": {},
        "holdout": {"first": None, "last": None, "nights": 0, "of_nights": 4, "rows": 0},
    }
    words = standing_alone({**card, "evaluation": {**found, **empty}}).words
    assert "of 4 nights kept apart none was unseen by both versions" in words
    assert "no night to compare on" in words


def regression(toy: Toy) -> None:
    """Make the toy job one that predicts a number, with a sensitive column, and train its champion."""
    add_nights(toy, nights(TRAIN_NIGHTS + LEARNT + 3, FIRST), named)
    execute(
        toy.source,
        "alter table events alter column y type double precision using x + case at < '2024-01-07' when true then 9 else 1 end",
    )
    toy.change(
        task="regression",
        pipeline="tests.support.pipelines:build_linear",
        features=SENSITIVE,
        promotion=POLICY,
        training={"holdout_nights": 4},
    )
    train_champion(toy.work)


def test_regression_with_a_sensitive_segment(untrained: Toy) -> None:
    regression(untrained)
    row = retrain(untrained.work, RetrainingRequest("more data", night=LAST))
    card = card_of(untrained, 2)
    assert {one["value"] for one in card["evaluation"]["segments"]} == {HIDDEN_VALUE}
    assert card["sensitive"] == ["kind"]
    page, file = version_of(untrained, 2), standing_alone(card)
    for words in (page.words, file.words):
        assert "mean absolute error" in words
        assert "unit of the label" in words
        assert "rmse" in words
        assert "Calibration" not in words
        assert "auc" not in words
        assert "hidden" in words
        assert "sensitive" in words  # beside the column's importance
    everything = [json.dumps(card), *page_of(card).values(), page.text, str(row)]
    assert [value for value in VALUES if any(value in text for text in everything)] == []


# ---------------------------------------------------------------- the shadow


def shadowed(toy: Toy, days: list[date]) -> Shadow:
    """Live nights beside a version that is pinned to the shadow before the last two; return its row."""
    live(toy, days[:-2])
    one = pin(toy.work, 2, 3)
    live(toy, days[-2:])
    for day in days[-2:]:
        for run in ledger.runs_of(toy.stores.warehouse, toy.job.name, day):
            shadow_run(toy.work, run.run_id)
    return one


def test_shadow_of_a_challenger(client: TestClient, toy: Toy) -> None:
    row = retrained(toy, turn=False)
    days = nights(3)
    shadowed(toy, days)
    measure(toy.work, days[-1])
    page = read(client, f"{home(toy)}/versions/2").words
    assert row.state == "refused"
    assert "challenger in the shadow" in page
    assert f"from night {days[1]} on: 3 nights planned, 2 scored, 1 measured" in page
    assert "Decisions changed" in page
    assert "(probability)" in page
    assert "not yet" in page
    assert f"By segment, night {days[2]}" in page
    assert "log loss of version 2 (nats)" in page
    short = read(client, home(toy))
    assert f"2 challenger 1 {days[1]} 3 2 1 0 running" in short.words
    assert f"/nightshift{home(toy)}/versions/2#shadow" in short.links
    assert "Beside it, while it was champion" in read(client, f"{home(toy)}/versions/1").words
    (last,) = shadows.nights(toy.stores.warehouse, toy.job.name, 2)[-1:]
    facts = {
        name: last.facts[name] for name in ("run_id", "job", "night", "model_version", "champion_version", "scored_at")
    }
    shadows.save_night(toy.stores.warehouse, {**facts, "status": "failed", "reason": f"ArtifactMismatch: {EVIL}"})
    failed = read(client, f"{home(toy)}/versions/2")
    assert "1 failed" in failed.words
    assert f"ArtifactMismatch: {EVIL}" in failed.text
    reviewed = review(toy.work, days[-1] + timedelta(days=40))
    assert [one.state for one in reviewed] == ["failed"]
    assert f"It ended: {reviewed[0].detail}" in read(client, f"{home(toy)}/versions/2").words


def test_shadow_of_a_sensitive_segment_hides_its_values(untrained: Toy) -> None:
    regression(untrained)
    retrain(untrained.work, RetrainingRequest("more data", night=NIGHT + 3 * DAY))
    live(untrained, [NIGHT])
    pin(untrained.work, 2, 3)
    live(untrained, [NIGHT + DAY])
    (run,) = ledger.runs_of(untrained.stores.warehouse, untrained.job.name, NIGHT + DAY)
    shadow_run(untrained.work, run.run_id)
    (row,) = shadows.nights(untrained.stores.warehouse, untrained.job.name)
    assert row.disagreement is not None
    assert {one["value"] for one in row.disagreement["segments"]} == {HIDDEN_VALUE}
    told = {**row.disagreement, "segments": [{**row.disagreement["segments"][0], "value": VALUES[0]}]}
    mine = {name: value for name, value in row.facts.items() if name != "disagreement"}
    shadows.save_night(untrained.stores.warehouse, {**mine, "disagreement": told})  # as if it was not sensitive then
    version = row.model_version
    assert "hidden" in version_of(untrained, version).words
    assert VALUES[0] not in version_of(untrained, version).text


# ---------------------------------------------------------------- the job's page, the overview, the tab of a run


def test_job_page_lists_retrainings_and_links_cards(client: TestClient, toy: Toy) -> None:
    live(toy, [NIGHT])
    decision = monitoring.decisions(toy.stores.warehouse, Span(toy.job.name))[0]
    row = retrained(toy, trigger="decision", decision_id=decision.decision_id)
    again = retrain(toy.work, RetrainingRequest("again", "schedule", night=LAST))
    assert (again.state, again.retraining_id) == ("unchanged", row.retraining_id + 1)
    job = read(client, home(toy))
    assert "The newest 2 of 2" in job.words
    assert f"{again.retraining_id} {LAST} unchanged –" in job.words
    assert "the job's schedule: again" in job.words
    assert "the governor's decision: more data" in job.words
    assert job.links.count(f"/nightshift{home(toy)}/versions/2") == 4  # decision, retraining, shadow, champion
    assert f"/nightshift{home(toy)}/versions/1" not in job.links  # it has no card
    night = read(client, f"{home(toy)}/nights/{NIGHT}")
    assert f"/nightshift{home(toy)}/versions/2" in night.links
    assert f"decision {decision.decision_id}" in read(client, f"{home(toy)}/versions/2").words
    assert "retraining 1" not in read(client, "/").words


def test_open_retraining_is_on_the_overview(client: TestClient, toy: Toy) -> None:
    assert "None yet" in read(client, home(toy)).words
    toy.change(promotion={**POLICY, "promote": "human"}, training={"holdout_nights": 4})
    row = retrained(toy)
    assert f"retraining {row.retraining_id}: approve" in read(client, "/").words
    assert f"Retraining {row.retraining_id} is open, at stage approve" in read(client, home(toy)).words
    page = read(client, f"{home(toy)}/versions/2").words
    assert ": open , at stage approve" in page
    assert "version 2 challenger" in page
    fail(toy.stores, row.retraining_id, EVIL)
    assert EVIL in read(client, home(toy)).text
    assert EVIL in read(client, f"{home(toy)}/versions/2").text
    assert "retraining" not in read(client, "/").words.lower()


def test_run_of_the_retraining_dag_leads_to_its_card(client: TestClient, toy: Toy, readable: set[str]) -> None:
    request = RetrainingRequest("by hand", night=LAST, airflow_run_id="manual__1")
    begin(toy.work, request)
    asked = {"dag_id": f"{toy.job.name}_retraining", "run_id": "manual__1"}

    def place(**changed: str) -> tuple[int, str]:
        answer = client.get("run", params={**asked, **changed}, follow_redirects=False)
        return answer.status_code, answer.headers.get("location", "")

    assert place() == (303, f"/nightshift{home(toy)}#retrainings")
    retrained(toy, airflow_run_id="manual__1")
    assert place() == (303, f"/nightshift{home(toy)}/versions/2")
    assert place(run_id="other")[0] == 200
    assert place(dag_id=f"{toy.job.name}_nightly")[0] == 200
    readable.clear()
    assert place()[0] == 200


@pytest.mark.parametrize("version", ["0", "7", "latest", "-1", "9" * 40, "²", "1.0"])
def test_unknown_version_is_not_found(client: TestClient, toy: Toy, version: str) -> None:
    assert "no model card of a version" in read(client, f"{home(toy)}/versions/{version}", 404).words


def test_version_of_another_job_is_not_there(client: TestClient, toy: Toy, readable: set[str]) -> None:
    readable.clear()
    assert "that you may see" in read(client, f"{home(toy)}/versions/1", 404).words


# ---------------------------------------------------------------- data stay text


def hostile(found: Any) -> Any:
    """Return what JSON holds with every text in it made hostile, but for nights, times and words the pages choose by."""
    if isinstance(found, dict):
        kept = {
            "since",
            "until",
            "fitted_until",
            "evaluated_until",
            "night",
            "first",
            "last",
            "refit_until",
            "against_until",
            "changed_on",
            "made_at",
            "trained_at",
            "loss",
        }
        return {name: value if name in kept else hostile(value) for name, value in found.items()}
    if isinstance(found, list):
        return [hostile(one) for one in found]
    return EVIL if isinstance(found, str) else found


def test_what_comes_from_data_is_text(client: TestClient, toy: Toy) -> None:
    retrained(toy)
    card = hostile(card_of(toy, 2))
    card["data"] |= {"quarantined": {EVIL: 3}, "library_versions": {EVIL: EVIL}}
    card["evaluation"]["importance"] = {EVIL: 0.5, EVIL * 9: 0.5}
    card["sensitive"] = [EVIL]
    warehouse = toy.stores.warehouse
    facts = {"job": toy.job.name, "model_version": 2, "made_at": toy.stores.clock(), "card": card}
    retrainings.save_card(warehouse, facts)
    changed = {"reason": EVIL, "detail": EVIL, "airflow_run_id": EVIL}
    row = retrainings.of_job(warehouse, toy.job.name)[-1]
    retrainings.record(warehouse, row.retraining_id, **changed)
    with warehouse.transaction() as connection:
        connection.execute(sa.text("update shadows set detail = :evil"), {"evil": EVIL})
        connection.execute(sa.text("update model_promotions set reason = :evil, promoted_by = :evil"), {"evil": EVIL})
        connection.execute(sa.text("update jobs set description = :evil"), {"evil": EVIL})
    assert standing_alone(card).text.count(EVIL) > 20
    for path in (f"{home(toy)}/versions/2", f"{home(toy)}/versions/1", home(toy)):
        assert EVIL in read(client, path).text  # `read` asserts that no such tag or attribute is there


# ---------------------------------------------------------------- who was champion when


def test_reigns_follow_the_nights() -> None:
    def made(version: int, night: int) -> Promotion:
        day = date(2024, 1, night)
        return Promotion("toy", version, day, "promotion", "why", "who", datetime(2024, 1, 1, tzinfo=UTC))

    found = reigns_of([made(1, 1), made(3, 9), made(2, 5), made(4, 9)])
    told = [(one.promotion.model_version, one.until and one.until.day, one.empty) for one in found]
    assert told == [(1, 5, False), (2, 9, False), (3, 9, True), (4, None, False)]
    assert reigns_of([]) == []


def test_every_retraining_without_airflow_is_a_new_one(toy: Toy) -> None:
    first = begin(toy.work, RetrainingRequest("one", night=LAST))
    fail(toy.stores, first.retraining_id, "interrupted")
    second = begin(toy.work, RetrainingRequest("another", night=LAST))
    assert (second.reason, second.retraining_id > first.retraining_id) == ("another", True)
    with pytest.raises(NightshiftError):
        begin(toy.work, RetrainingRequest("at the same time", night=LAST))


def test_stores_are_not_opened_for_a_card(stores: Stores) -> None:
    """A page needs warehouse and lake only."""
    places = Places(stores.warehouse, stores.lake, lambda name: write_job(stores.settings.data_dir, name))
    assert version_page(places, "nobody", 1) is None
