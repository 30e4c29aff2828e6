"""The files of the profile observability: rules, dashboard and scraping name what /nightshift/metrics gives."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from drift.watch import watch
from scoring.metrics import METRICS, PERFORMANCE_VERDICT, Sample, exposition
from scoring.settings import HOME
from scoring.upkeep.measurements import measure_jobs
from tests.conftest import Toy
from tests.support.living import score
from tests.support.toy import NIGHT

FOLDER = HOME / "deploy/observability"
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "rules.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
DASHBOARD = json.loads((FOLDER / "grafana/nightshift.json").read_text(encoding="utf-8"))
SCRAPES = {
    scrape["job_name"]: scrape
    for scrape in yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
}
COMPOSE = yaml.safe_load((HOME / "docker-compose.yml").read_text(encoding="utf-8"))
EXPOSED = {metric.exposed: metric for metric in METRICS}
NAME = re.compile(r"\bnightshift_\w+")
LABELS = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not there"
)


def expressions() -> list[str]:
    """Return every expression of the rules and of the dashboard, its variables included."""
    targets = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    variables = [variable["query"]["query"] for variable in DASHBOARD["templating"]["list"]]
    return [*(rule["expr"] for rule in RULES), *targets, *variables]


def promtool(*words: str | Path) -> str:
    done = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_every_expression_names_metrics_and_labels_that_exist(expression: str) -> None:
    names = NAME.findall(expression)
    assert names or "up{" in expression
    assert [name for name in names if name not in EXPOSED] == []
    for name in names:
        assert set(LABELS.findall(expression)) <= set(EXPOSED[name].labels), expression


def test_legends_and_sentences_name_labels_that_exist() -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            (name,) = NAME.findall(target["expr"])
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= set(EXPOSED[name].labels), panel[
                "title"
            ]
    for rule in RULES:
        assert set(rule["annotations"]) == {"summary", "action"}
        assert set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) <= {"job"}


def test_what_rules_ask_is_given_of_every_job_that_published(toy: Toy) -> None:
    watch(toy.work, score(toy, NIGHT))
    given = {sample.metric.exposed for sample in measure_jobs(toy.stores.warehouse, [toy.job])}
    asked = {name for rule in RULES for name in NAME.findall(rule["expr"])}
    assert asked - given == {PERFORMANCE_VERDICT.exposed}  # no labels have come


def test_scrapes_reach_services_and_log_in_with_the_token_of_the_web_server() -> None:
    services = COMPOSE["services"]
    targets = {target for scrape in SCRAPES.values() for each in scrape["static_configs"] for target in each["targets"]}
    assert {target.partition(":")[0] for target in targets} <= set(services)
    token = SCRAPES["nightshift"]["authorization"]["credentials_file"]
    assert services["api-server"]["environment"]["NIGHTSHIFT_METRICS_TOKEN"] == f"{{{Path(token).name}}}"
    for name in ("api-server", "prometheus"):
        assert Path(token).name in services[name]["secrets"]
    assert all(scrape["honor_labels"] for scrape in SCRAPES.values()), "else our label job would be exported_job"
    assert f'up{{job="{SCRAPES["nightshift"]["job_name"]}"}}' in RULES[-1]["expr"]


def test_profile_is_optional_and_whole() -> None:
    profile = {name for name, service in COMPOSE["services"].items() if service.get("profiles") == ["observability"]}
    assert profile == {"prometheus", "grafana", "otel-collector"}
    collector = yaml.safe_load((FOLDER / "otel-collector.yml").read_text(encoding="utf-8"))
    for pipeline in collector["service"]["pipelines"].values():
        for part, names in pipeline.items():
            assert set(names) <= set(collector[part])
    listened = {collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rpartition(":")[2]}
    sent = COMPOSE["services"]["worker-1"]["environment"]["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"]
    assert sent == f"http://otel-collector:{listened.pop()}/v1/metrics"
    provider = yaml.safe_load((FOLDER / "grafana/dashboards.yml").read_text(encoding="utf-8"))["providers"][0]
    mounts = [mount.split(":")[1] for mount in COMPOSE["services"]["grafana"]["volumes"]]
    assert f"{provider['options']['path']}/nightshift.json" in mounts


def test_panels_do_not_lie_on_each_other() -> None:
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    (source,) = yaml.safe_load((FOLDER / "grafana/datasources.yml").read_text(encoding="utf-8"))["datasources"]
    assert {target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel["targets"]} == {
        source["uid"]
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_is_explained_to_the_operator(rule: dict[str, Any]) -> None:
    page = (HOME / "docs/people/operator.md").read_text(encoding="utf-8")
    assert f"| `{rule['alert']}` |" in page


def test_every_metric_is_explained_to_the_operator() -> None:
    page = (HOME / "docs/people/operator.md").read_text(encoding="utf-8")
    told = {
        f"| `{metric.exposed}` | {metric.unit} | {labels or '–'} | {metric.meaning.rstrip('.')} |"
        for metric in METRICS
        for labels in [", ".join(f"`{label}`" for label in metric.labels if label != "job")]
    }
    assert told - set(page.splitlines()) == set()


@needs_promtool
def test_prometheus_has_nothing_to_say_against_our_metrics() -> None:
    text = exposition(Sample(metric, 1, dict.fromkeys(metric.labels, "x")) for metric in METRICS)
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_promtool
def test_prometheus_takes_rules_and_configuration(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a token")
    text = (FOLDER / "prometheus.yml").read_text(encoding="utf-8")
    (tmp_path / "prometheus.yml").write_text(text.replace("/run/secrets/metrics_token", str(token)))
    shutil.copy(FOLDER / "rules.yml", tmp_path)
    assert f"{len(RULES)} rules found" in promtool("check", "config", tmp_path / "prometheus.yml")


@needs_promtool
def test_rules_fire_when_they_should_and_only_then() -> None:
    promtool("test", "rules", HOME / "tests/deploy/rules_test.yml")


@needs_promtool
@pytest.mark.parametrize(
    "expression",
    sorted({target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]}),
)
def test_prometheus_understands_the_dashboard(expression: str, tmp_path: Path) -> None:
    rule = {"record": "asked", "expr": expression.replace("$job", ".*").replace("$metric", ".*")}
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": [rule]}]}))
    promtool("check", "rules", path)
