"""The report pages on a real warehouse: what they say, whom they refuse, and that data stay text."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from airflow.api_fastapi.core_api.security import get_user
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from drift.report.night_report import write_report
from drift.watch import watch
from pages import web
from pages.content.job import job_page
from pages.content.places import Places
from pages.rendering.render import render
from scoring.errors import NightHeld
from scoring.settings import HOME, child_environment
from scoring.stores.warehouse import ledger, metering, monitoring
from scoring.stores.warehouse.tables import RUNS
from tests.conftest import Toy
from tests.support.features import KIND, X
from tests.support.living import DAY, add_nights, live, nights, score
from tests.support.pages import EVIL, POLICY_OUTSIDE, Read, home, read
from tests.support.toy import NIGHT

TAG = "<img src=x>"
EVIL_COLUMN = 'x"><img src=x onerror=alert(1)>/<b>'


# ---------------------------------------------------------------- who may see what


def test_every_route_refuses_who_is_not_logged_in(client: TestClient) -> None:
    """With the real check of Airflow, which asks for a token before anything else."""
    del web.app.dependency_overrides[get_user]
    del web.app.dependency_overrides[web.readable_jobs]
    routes = [route for route in web.app.routes if isinstance(route, APIRoute)]
    assert len(routes) == len(web.app.routes) == 9  # no documentation, nothing mounted beside
    for route in routes:
        path = re.sub(r"\{(\w+)(:path)?\}", "reports" if "reports" in route.path else "a", route.path)
        answer = client.get(path.lstrip("/"), follow_redirects=False)
        assert answer.status_code == 401, route.path
        assert "Log in to Airflow first" in answer.text


def test_jobs_of_others_are_not_there(client: TestClient, toy: Toy, readable: set[str]) -> None:
    live(toy, [NIGHT])
    run = ledger.runs_of(toy.stores.warehouse, toy.job.name, NIGHT)[0]
    ledger.record(toy.stores.warehouse, run.run_id, airflow_run_id="its_run")
    watch(toy.work, run.run_id, write_report)
    report = f"reports/{toy.job.name}/night={NIGHT}/drift.html"
    assert client.get(report).status_code == 200
    readable.clear()
    assert toy.job.name not in read(client, "/").words
    for path in (home(toy), f"{home(toy)}/nights/{NIGHT}", f"{home(toy)}/columns/x"):
        assert "that you may see" in read(client, path, 404).words
    assert client.get(report).status_code == 404
    assert "No report for this run" in read(client, f"/run?dag_id={toy.job.name}_nightly&run_id=its_run").words


# ---------------------------------------------------------------- what the pages say


def test_overview_names_missing_nights(client: TestClient, toy: Toy) -> None:
    toy.change(schedule={"timezone": "UTC", "first_night": NIGHT, "last_night": NIGHT + 2 * DAY})
    live(toy, [NIGHT + DAY])
    assert f"Missing nights 2 of the last 30: {NIGHT}, {NIGHT + 2 * DAY}" in read(client, "/").words
    live(toy, [NIGHT, NIGHT + 2 * DAY])
    assert "Missing nights" not in read(client, "/").words


def test_late_night_says_since_when(client: TestClient, toy: Toy) -> None:
    score(toy, NIGHT)
    assert "In time" not in read(client, "/").words  # the schedule ended long ago
    toy.change(schedule={"timezone": "UTC", "first_night": NIGHT, "ready_by": "00:01"})
    now = metering.clock(toy.stores.warehouse)
    late = f"late : night {(now - DAY).date()} had to be published by {now.date()} 00:01 UTC"
    for path in ("/", f"jobs/{toy.job.name}"):
        assert late in read(client, path).words


def test_pages_of_nights_lived_through(client: TestClient, toy: Toy) -> None:
    days = nights(3)
    live(toy, days)
    overview, job = read(client, "/").words, read(client, home(toy))
    assert f"Last night {days[-1]}" in overview
    assert "200 published, 0 quarantined" in overview
    assert "excess log loss" in overview
    assert f"night {days[1]}" in overview
    assert "nats above the base rate's" in overview
    assert "is not there" in overview
    assert "Model version 1" in overview
    assert job.tags.count("circle") >= 5  # 2 measured nights and 3 judged ones
    assert f"/nightshift{home(toy)}/nights/{days[0]}" in job.links
    assert "the last 28 measured nights together" in job.words
    assert "unusual above" in job.words
    assert "first_night" not in job.words
    assert "Champions" in job.words
    assert "promotion" in job.words
    first, last = (read(client, f"{home(toy)}/nights/{day}") for day in (days[0], days[-1]))
    assert "Extracted 200 rows" in first.words
    assert "Loaded 200 rows" in first.words
    assert "Measured on 200 rows with a label: 100.0 % of 200 published" in first.words
    assert "estimate" not in first.words.lower()
    assert f"/nightshift{home(toy)}/nights/{days[1]}" in first.links
    assert "Labels are not there yet" in last.words
    assert "An estimate, not a measurement" in last.words
    assert f"mature at the end of {days[-1] + DAY}" in last.words
    assert "none: not run by Airflow" in last.words
    assert "no reason" in last.words


def test_pages_before_the_first_night(client: TestClient, toy: Toy) -> None:
    assert "no night yet" in read(client, "/").words
    job = read(client, home(toy)).words
    assert "No night yet" in job
    assert "Not measured yet" in job
    assert "No verdict yet" in job
    assert "No decision yet" in job
    assert "No night was judged yet" in read(client, f"{home(toy)}/columns/x").words


def test_job_that_was_never_trained_is_named(client: TestClient, toy: Toy, readable: set[str]) -> None:
    toy.stores.settings.jobs_dir.joinpath("fresh.yaml").write_text(
        (toy.stores.settings.jobs_dir / f"{toy.job.name}.yaml").read_text().replace(toy.job.name, "fresh")
    )
    readable |= {"fresh", "of_another_project"}
    words = read(client, "/").words
    assert "Never trained or scored yet: fresh" in words
    assert "of_another_project" not in words
    assert "never trained or run" in read(client, "/jobs/fresh", 404).words


def test_night_without_verdict(client: TestClient, toy: Toy) -> None:
    score(toy, NIGHT)
    night = read(client, f"{home(toy)}/nights/{NIGHT}").words
    assert "? unjudged" in night
    assert "No drift verdict yet" in night
    assert "No decision yet" in night
    assert "No column was compared yet" in night
    assert "?" in read(client, home(toy)).words
    assert "no drift verdict yet" in read(client, "/").words


def test_held_night_says_why_and_keeps_its_verdict(client: TestClient, toy: Toy) -> None:
    toy.change(gate={"min_rows": 1000})
    with pytest.raises(NightHeld):
        score(toy, NIGHT)
    (run,) = ledger.runs_of(toy.stores.warehouse, toy.job.name, NIGHT)
    watch(toy.work, run.run_id)
    night = read(client, f"{home(toy)}/nights/{NIGHT}").words
    assert "H held" in night
    assert "Nothing of this night is published" in night
    assert run.reason is not None
    assert run.reason in night
    assert "score" in night
    assert "Columns" in night
    grid = read(client, home(toy))
    assert ("class", "night held") in grid.attributes
    assert "held" in read(client, "/").words


def test_attempt_that_is_not_shown_leads_to_the_one_that_is(client: TestClient, toy: Toy) -> None:
    first = score(toy, NIGHT)
    score(toy, NIGHT)
    page = read(client, f"{home(toy)}/nights/{NIGHT}?run={first}").words
    assert "This is not the run that the night shows" in page
    assert f"run {first}" in page
    assert first not in read(client, f"{home(toy)}/nights/{NIGHT}").words


def test_missing_night_looks_different(client: TestClient, toy: Toy) -> None:
    for day in (NIGHT, NIGHT + 2 * DAY):
        score(toy, day)
    grid = read(client, home(toy))
    assert ("class", "night missing") in grid.attributes
    assert "1 night of these months is missing" in grid.words
    assert grid.attributes.count(("class", "night unjudged")) >= 2


@pytest.mark.parametrize("night", ["2024-02-30", "yesterday", "2023-01-01", "0"])
def test_unknown_night_is_not_found(client: TestClient, toy: Toy, night: str) -> None:
    score(toy, NIGHT)
    assert night in read(client, f"{home(toy)}/nights/{night}", 404).words


def test_unknown_addresses_are_not_found(client: TestClient, toy: Toy) -> None:
    score(toy, NIGHT)
    for path in ("/jobs/nobody", f"{home(toy)}/columns/nothing", f"{home(toy)}/nights/{NIGHT}?run=nothing", "/other"):
        assert "Not found" in read(client, path, 404).words


def test_fault_is_loud_and_its_column_has_a_page(client: TestClient, toy: Toy) -> None:
    toy.change(features={"x": {**X, "sensitive": True}, "kind": KIND})
    days = nights(2)
    live(toy, days[:1])
    add_nights(toy, days[1:], lambda rows: rows.assign(x=None))
    live(toy, days[1:])
    night = read(client, f"{home(toy)}/nights/{days[1]}")
    assert "Broken data:" in night.words
    assert "A alert" in night.words
    assert "fault: all 200 values are null" in night.words
    assert "sensitive" in night.words
    column = read(client, f"{home(toy)}/columns/x")
    assert "unusual on 1" in column.words
    assert "its values appear nowhere" in column.words
    assert f"/nightshift{home(toy)}/nights/{days[1]}" in column.links
    assert ("class", "mark alert") in column.attributes


def test_signals_of_every_column_are_on_record(toy: Toy) -> None:
    """Evidently's limits and the column pages are made of them."""
    watch(toy.work, score(toy, NIGHT))
    run = ledger.runs_of(toy.stores.warehouse, toy.job.name, NIGHT)[0]
    rows = {row.column_name: row for row in monitoring.columns_of(toy.stores.warehouse, [run.run_id])}
    assert {"shape", "nulls", "quarantined"} <= set(rows["x"].signals)
    for row in rows.values():
        assert row.signals[row.signal] == [row.value, row.threshold]


def test_run_of_airflow_leads_to_its_night(client: TestClient, toy: Toy) -> None:
    run_id = score(toy, NIGHT)
    ledger.record(toy.stores.warehouse, run_id, airflow_run_id="backfill__2024-01-07T00:00:00+00:00")
    asked = {"dag_id": f"{toy.job.name}_nightly", "run_id": "backfill__2024-01-07T00:00:00+00:00"}
    answer = client.get("run", params=asked, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"/nightshift{home(toy)}/nights/{NIGHT}?run={run_id}",
    )
    page = read(client, f"{home(toy)}/nights/{NIGHT}")
    assert f"/dags/{toy.job.name}_nightly/runs/backfill__2024-01-07T00%3A00%3A00%2B00%3A00" in page.links
    framed = client.get(f"{home(toy)}/nights/{NIGHT}".lstrip("/"), headers={"sec-fetch-dest": "iframe"})
    assert "/dags/" not in framed.text  # Airflow's frame lets no link out
    for other in ({**asked, "run_id": "other"}, {**asked, "dag_id": "somebody_elses"}, {}):
        assert "No report for this run" in Read(client.get("run", params=other).text).words


# ---------------------------------------------------------------- data stay text


def test_what_comes_from_data_is_text(client: TestClient, toy: Toy) -> None:
    live(toy, [NIGHT])
    (run,) = ledger.runs_of(toy.stores.warehouse, toy.job.name, NIGHT)
    warehouse = toy.stores.warehouse
    row = monitoring.drift_of(warehouse, run.run_id)
    assert row is not None
    column = monitoring.columns_of(warehouse, [run.run_id])[0].facts
    del column["run_id"]
    evil = {**column, "column_name": EVIL_COLUMN, "fault": EVIL, "status": "fault", "signal": EVIL, "role": EVIL}
    facts = {**row.facts, "reasons": [EVIL], "faults": [EVIL], "drifted_columns": [EVIL], "report_error": EVIL}
    monitoring.save_drift(warehouse, facts, [column, evil])
    ledger.record(warehouse, run.run_id, reason=EVIL, quarantine_reasons={EVIL: 3}, airflow_run_id=EVIL, origin=EVIL)
    with warehouse.transaction() as connection:
        connection.execute(sa.text("update jobs set description = :evil, owner = :evil"), {"evil": EVIL})
        connection.execute(sa.text("update retraining_decisions set reason = :evil"), {"evil": EVIL})
        connection.execute(sa.text("update model_promotions set reason = :evil, promoted_by = :evil"), {"evil": EVIL})
    night = read(client, f"{home(toy)}/nights/{NIGHT}")  # `read` asserts that no such tag or attribute is there
    assert night.text.count(EVIL) >= 8
    for path in ("/", home(toy)):
        assert EVIL in read(client, path).text
    assert EVIL_COLUMN in night.text
    (link,) = (link for link in night.links if "onerror" in link)
    assert EVIL_COLUMN in read(client, link.removeprefix("/nightshift")).text
    for path in (f"/run?dag_id={TAG}&run_id={EVIL}", f"/jobs/{TAG}", f"{home(toy)}/nights/{TAG}"):
        assert TAG in read(client, path, 200 if "run?" in path else 404).text


# ---------------------------------------------------------------- reports


def test_report_is_served_whole_in_an_origin_of_its_own(client: TestClient, toy: Toy) -> None:
    watch(toy.work, score(toy, NIGHT), write_report)
    night = read(client, f"{home(toy)}/nights/{NIGHT}")
    (link,) = (link for link in night.links if "/reports/" in link)
    answer = client.get(link.removeprefix("/nightshift/"))
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy
    assert "connect-src" not in policy
    assert not POLICY_OUTSIDE.search(policy)
    assert "../../assets/" not in answer.text
    assert "drawDashboard" in answer.text
    kinds = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
    folder = Path(toy.stores.lake.below("reports/assets"))
    for path in folder.iterdir():
        served = client.get(f"reports/assets/{path.name}")
        assert (served.status_code, served.headers["content-type"]) == (200, kinds[path.suffix])
        assert served.content == path.read_bytes()
        assert "</script>" not in served.text
        assert "<script>" not in served.text[:200]
    assert {path.suffix for path in folder.iterdir()} == set(kinds)


@pytest.mark.parametrize(
    "path",
    [
        "../runs",
        "..%2f..%2fsettings",
        "%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "",
        "assets",
        "assets/",
        "assets/../secret.html",
        "assets/other.js",
        "assets/evidently-0123456789abcdef.html",
        "{job}",
        "{job}/night=2024-01-07",
        "{job}/night=2024-01-07/drift.html/..",
        "{job}/night=2024-01-07/secret.html",
        "{job}/night=2024-01-07/drift.html%00",
        "{job}/night=2024-01-07/drift.html%0a",
        "{job}/../{job}/night=2024-01-07/drift.html",
        "{job}\\night=2024-01-07\\drift.html",
        "{job}/night=٢٠٢٤-01-07/drift.html",
        "file:///etc/passwd",
    ],
)
def test_nothing_else_of_the_lake_is_served(client: TestClient, toy: Toy, path: str) -> None:
    lake = toy.stores.lake
    for relative in ("secret.html", f"{toy.job.name}/night=2024-01-07/secret.html", "assets/other.js"):
        lake.write_text(lake.below(f"reports/{relative}"), "secret")
    answer = client.get(f"reports/{path.format(job=toy.job.name)}")
    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_report_that_was_removed_is_not_linked(client: TestClient, toy: Toy) -> None:
    watch(toy.work, score(toy, NIGHT), write_report)
    toy.stores.lake.remove(toy.stores.lake.reports(toy.job.name)[NIGHT])
    night = read(client, f"{home(toy)}/nights/{NIGHT}")
    assert [link for link in night.links if "/reports/" in link] == []
    assert "No Evidently page" in night.words
    assert "removed" in read(client, f"/reports/{toy.job.name}/night={NIGHT}/drift.html", 404).words


# ---------------------------------------------------------------- long histories, style, cost


def test_a_page_shows_a_year_and_leads_to_earlier_nights(toy: Toy) -> None:
    day = timedelta(days=1)
    first, last = date(2022, 1, 1), date(2024, 6, 30)
    run = ledger.get(toy.stores.warehouse, score(toy, NIGHT))
    with toy.stores.warehouse.transaction() as connection:
        for night in (first, first + day, last):
            facts = {**run.facts, "run_id": f"run-{night}", "night": night, "status": "failed"}
            del facts["run_number"]
            connection.execute(sa.insert(RUNS).values(facts))
    read_from = Places(toy.stores.warehouse, toy.stores.lake, lambda name: toy.job)
    newest = job_page(read_from, toy.job.name, None)
    assert newest is not None
    assert [one.name for one in newest["months"]] == ["January 2024", "June 2024"]
    assert (newest["earlier"], newest["later"]) == (first + day, None)
    older = job_page(read_from, toy.job.name, first + day)
    assert older is not None
    assert [one.name for one in older["months"]] == ["January 2022"]
    assert (older["earlier"], older["later"], older["later_missing"]) == (None, NIGHT, 0)


def test_style_fits_narrow_screens_and_dark_ones() -> None:
    style = (HOME / "pages/templates/style.css").read_text()
    assert "prefers-color-scheme: dark" in style
    assert "overflow-x: auto" in style
    assert "url(" not in style
    assert "@import" not in style
    assert "</" not in style
    wide = re.findall(r"^(.*?)\{[^}]*(?<!max-)\b(?:min-)?width: *(\d+(?:\.\d+)?)(rem|px)", style, re.MULTILINE)
    unit = {"rem": 16, "px": 1}
    found = [rule.strip() for rule, size, kind in wide if float(size) * unit[kind] > 320]
    assert all(rule.startswith((".scroll", "figure .scroll")) for rule in found), found  # inside a box of their own
    for template in (HOME / "pages/templates").glob("*.html"):
        text = template.read_text()
        assert "style=" not in text, template.name
        assert "<script" not in text, template.name
        assert text.count("<table>") == text.count('class="scroll"') - text.count('<svg viewBox="0 0 {{ plot'), (
            template.name
        )


@pytest.mark.slow
def test_plugin_loads_nothing_and_the_pages_nothing_heavy(tmp_path: Path) -> None:
    code = """
import sys
import airflow.plugins_manager
before = set(sys.modules)
import orchestration.plugins.nightshift_pages as plugin
print("plugin", sorted({name.partition(".")[0] for name in set(sys.modules) - before} - {"orchestration"}))
import pages.web
print("heavy", [name for name in ("pandas", "sklearn", "scipy", "mlflow", "evidently", "joblib") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=HOME,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=child_environment(
            {"AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(HOME), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        ),
    )
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines() if line.startswith(("plugin", "heavy")))
    assert lines["heavy"] == "[]"
    assert "drift" not in lines["plugin"]
    assert "fastapi" not in lines["plugin"]
    assert "sqlalchemy" not in lines["plugin"]


def test_style_of_a_page_is_the_one_its_policy_allows() -> None:
    page = render("message", "/nightshift", {"heading": "a", "message": "b", "link": "", "link_words": ""})
    inside = page.partition("<style>")[2].partition("</style>")[0]
    assert inside == (HOME / "pages/templates/style.css").read_text()
