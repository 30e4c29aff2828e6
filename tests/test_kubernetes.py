"""Checks the values for Airflow's Helm chart: the chart's own schema, unknown keys, the settings that the compose file has."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from cli.arguments import now
from scoring.settings import HOME, Settings
from scoring.stores import open_stores
from serving.app import Office, application
from tests.stack.compose import services

VALUES = yaml.safe_load((HOME / "deploy/kubernetes/values.yaml").read_text(encoding="utf-8"))
README = (HOME / "deploy/kubernetes/README.md").read_text(encoding="utf-8")
DOCKERFILE = (HOME / "Dockerfile").read_text(encoding="utf-8")
MAIN = "from cli.main import main; main()"
OTHER_MACHINES = {"core.parallelism", "core.dags_folder", "core.plugins_folder", "scheduler.task_queued_timeout"}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    path = Path(__file__).parent / "data/airflow-chart-1.22.0.schema.json.gz"
    found: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return found


def unknown(values: Any, schema: dict[str, Any], path: str = "") -> list[str]:
    """Return the keys that the schema has no place for: the chart would leave them out without a word."""
    places = schema.get("properties")
    if not isinstance(values, dict) or not places:
        return []
    strange = [f"{path}.{key}" for key in values if key not in places]
    return strange + [
        name for key in values if key in places for name in unknown(values[key], places[key], f"{path}.{key}")
    ]


def test_values_follow_the_schema_of_the_chart(schema):
    jsonschema.Draft7Validator(schema).validate(VALUES)
    assert unknown(VALUES, schema) == []
    assert unknown({"workers": {"celery": {"replica": 2}}}, schema) == [".workers.celery.replica"]


def test_airflow_is_set_as_in_the_compose_file():
    compose = {each.name: each for each in services({})}["scheduler"].environment
    ours = {f"{section}.{key}": value for section, keys in VALUES["config"].items() for key, value in keys.items()}
    theirs = {
        ".".join(name.lower().split("__")[1:]): value for name, value in compose.items() if name.startswith("AIRFLOW__")
    }
    shared = (ours.keys() & theirs.keys()) - OTHER_MACHINES
    assert len(shared) > 10
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}
    assert int(ours["scheduler.task_queued_timeout"]) >= 600, "a pod that waits for a node or an image is not lost"


def test_variables_are_settings_and_hold_no_secret(monkeypatch, tmp_path):
    for name in ("source", "warehouse", "analyst"):
        (tmp_path / f"{name}_db_password").write_text("word")
    for variable in VALUES["env"]:
        monkeypatch.setenv(variable["name"], variable["value"].replace("/run/secrets", str(tmp_path)))
    settings = Settings()
    assert settings.warehouse_url is not None
    assert ":word@" in settings.warehouse_url.get_secret_value()
    assert not re.search(r"://[^/{@]*:[^{/@]+@", (HOME / "deploy/kubernetes/values.yaml").read_text(encoding="utf-8"))


def test_pods_run_as_the_image_does():
    assert f"useradd --uid {VALUES['uid']}" in DOCKERFILE
    assert f"AIRFLOW_HOME={VALUES['airflowHome']}" in DOCKERFILE
    plain = re.sub(r"^\{\{-.*\n", "", VALUES["podTemplate"], flags=re.MULTILINE)
    pod = yaml.safe_load(re.sub(r"\{\{[^}]*\}\}", "x", plain))
    assert pod["spec"]["securityContext"]["runAsUser"] == VALUES["uid"]
    assert pod["spec"]["containers"][0]["name"] == "base", "the container that Airflow puts its command into"


def test_named_secrets_are_made_as_the_readme_says():
    parts = [VALUES[part] for part in ("data", "volumes", "secret", "apiServer", "migrateDatabaseJob")]
    named = set(re.findall(r"\bnightshift-[\w-]+", json.dumps(parts)))
    named |= {value for key, value in VALUES.items() if key.endswith(("SecretName", "jwtSecretName"))}
    made = set(re.findall(r"create secret generic (\S+)", README))
    assert {name for name in named if name != "nightshift-task"} == made - {"nightshift-serving-keys"}
    assert "Not tried" in README


def test_pods_get_the_secret_files_that_their_variables_name_and_no_others():
    (mounted,) = re.findall(r"create secret generic nightshift-secrets ((?:.*\\\n)*.*)", README)
    read = re.findall(r"\{(\w+)\}|/run/secrets/(\w+)", " ".join(each["value"] for each in VALUES["env"]))
    files = re.findall(r"--from-file=(?:secrets/)?(\S+)", mounted)
    assert set(files) == {name for names in read for name in names if name}
    assert "/run/secrets/" not in VALUES["migrateDatabaseJob"]["args"][-1], (
        "the first user's password is the job's alone"
    )


def test_serving_pods_run_what_there_is(monkeypatch, tmp_path):
    manifests = {
        each["kind"]: each
        for each in yaml.safe_load_all((HOME / "deploy/kubernetes/serve.yaml").read_text(encoding="utf-8"))
    }
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    nightshift, *words = container["command"]
    assert nightshift == "nightshift"
    subprocess.run([sys.executable, "-c", MAIN, *words, "--help"], cwd=HOME, check=True, capture_output=True)
    (tmp_path / "warehouse_db_password").write_text("word")
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], variable["value"].replace("/run/secrets", str(tmp_path)))
    settings = Settings()
    assert settings.serve.keys_file == Path("/run/keys/keys.json")
    routes = {
        getattr(route, "path", None) for route in application(Office.of(open_stores(settings, now), [], True)).routes
    }
    probes = [container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert {*probes, "/metrics"} <= routes
    assert pod["terminationGracePeriodSeconds"] > settings.serve.stop_seconds
    assert pod["securityContext"]["runAsUser"] == VALUES["uid"]
    assert container["image"].rpartition(":")[2] == VALUES["images"]["airflow"]["tag"]
    assert manifests["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "nightshift-serve"
    volumes = {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
    assert volumes <= set(re.findall(r"create secret generic (\S+)", README))
