"""Checks the files of the container set-up against what they name: programs, options, settings, files, variables."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import stat
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml
from cryptography.fernet import Fernet

from demo import local_airflow
from orchestration.accounts import ROLES
from scoring.job.policies import LimitsPolicy
from scoring.settings import HOME, Settings
from scoring.stores.embedded import _SERVER_SETTINGS
from tests.stack.compose import services
from tests.support.shell import nightshift

TEXT = (HOME / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOT = {name for name, service in SERVICES.items() if service["restart"] == "no"}
OURS = {name for name, service in SERVICES.items() if "build" in service}
DOCKERFILE = (HOME / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
EXAMPLE = (HOME / ".env.example").read_text(encoding="utf-8")
DATABASES = (HOME / "sql/compose/create_databases.sql").read_text(encoding="utf-8")
CODE, STATE = "/opt/nightshift", "/var/lib/nightshift"
SECRET_NAME = re.compile(r"(PASSWORD|SECRET|KEY|TOKEN)$")
SHELL_WORDS = {"umask", "unset", "printf", "export"}
FILES = "/run/secrets"
MAKE, CHECK = HOME / "deploy/compose/make_secrets.sh", HOME / "deploy/compose/check_secrets.sh"
PROBE = """
import json, sys
asked = json.load(sys.stdin)
from airflow.cli.cli_parser import get_parser
from airflow.configuration import conf
from airflow.providers_manager import ProvidersManager
ProvidersManager().initialize_providers_configuration()
known = {f"{section}.{option}" for section, about in conf.configuration_description.items() for option in about["options"]}
known.add("scheduler.num_stuck_in_queued_retries")  # which Airflow reads, and leaves out of its reference on purpose
known |= {f"{section}.{option}_cmd" for section, option in conf.sensitive_config_values}
problems = [f"no Airflow option {option}" for option in asked["options"] if option not in known]
for words in asked["airflow"]:
    try:
        get_parser().parse_args(words)
    except SystemExit as stopped:
        problems.append(f"airflow {words}: exit code {stopped.code}")
import click
from celery.bin.celery import celery
from mlflow.cli import cli as mlflow
for root, lines in ((celery, asked["celery"]), (mlflow, asked["mlflow"])):
    for words in lines:
        path = [root]
        for word in words:
            if word.startswith("-"):
                flags = {flag for command in path for option in command.params for flag in option.opts}
                problems += [] if word.split("=")[0] in flags else [f"{path[-1].name}: no option {word}"]
            elif isinstance(path[-1], click.Group):
                found = path[-1].get_command(click.Context(path[-1]), word)
                problems += [] if found else [f"{path[-1].name}: no command {word}"]
                path += [found] if found else []
print(json.dumps(problems))
"""


def example_values() -> dict[str, str]:
    """Return the variables of ``.env.example``."""
    lines = [line for line in EXAMPLE.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def environment(name: str) -> dict[str, str]:
    """Return the environment of a service, as written."""
    return {key: str(value) for key, value in SERVICES[name].get("environment", {}).items()}


def invocations(command: list[str]) -> list[list[str]]:
    """Return the words of every program that a ``command`` or a health check's ``test`` starts."""
    if command[0] == "CMD":
        return [command[1:]]
    if command[0] in ("sh", "bash", "CMD-SHELL"):
        lines = command[-1].replace("$$", "$").strip().splitlines()
        words = [re.split(r" [|>] ", line)[0] for line in lines]
        plain = [re.sub(r"\$\{\w+:-[^}]*\}", "4", line) for line in words if line.split()[0] not in SHELL_WORDS]
        plain = [re.sub(r"\$\([^)]*\)|^\w+=\S+ ", "", line) for line in plain]
        return [shlex.split(line.removeprefix("exec ")) for line in plain]
    return [command]


def started(name: str) -> list[list[str]]:
    """Return the words of every program that a service starts, for its work and for its health check."""
    service = SERVICES[name]
    commands = [service["command"], *([service["healthcheck"]["test"]] if "healthcheck" in service else [])]
    return [words for command in commands for words in invocations(command)]


def copied() -> dict[str, str]:
    """Return source → target of every copy from the repository into the image."""
    found = re.findall(r"^COPY (?!--from)(\S+) (\S+)$", DOCKERFILE, flags=re.MULTILINE)
    return dict(found)


def test_postgresql_has_the_settings_of_the_embedded_one() -> None:
    program, *options = SERVICES["postgres"]["command"]
    settings = dict(option.removeprefix("-c").split("=") for option in options)
    assert program == "postgres"
    assert settings == _SERVER_SETTINGS


def test_compose_file_follows_the_specification():
    schema = json.loads((Path(__file__).parent / "data/compose-spec.json").read_text(encoding="utf-8"))
    found = {key: value for key, value in COMPOSE.items() if not key.startswith("x-")}
    jsonschema.Draft201909Validator(schema).validate(found)


def test_example_file_names_the_variables_of_the_compose_file():
    assert set(re.findall(r"\$\{(\w+)", TEXT)) == set(example_values())
    assert not re.findall(r"\$(?!\{\w+:[-?])\w*", TEXT.replace("$$", "")), "a variable without braces, or a bare one"


def test_no_variable_is_a_secret():
    assert not [name for name in example_values() if SECRET_NAME.search(name)]
    assert not re.findall(r"\$\{\w+:\?", TEXT), "nothing is required but secrets, and they are files"


def made_secrets(folder: Path) -> dict[str, str]:
    """Return what the documented command makes, by name."""
    subprocess.run(["sh", str(MAKE), str(folder)], check=True, capture_output=True, timeout=60)
    return {file.name: file.read_text() for file in folder.iterdir()}


def refusals(folder: Path) -> tuple[int, str]:
    """Return the exit code and the words of the check that runs before anything else starts."""
    checked = subprocess.run(["sh", str(CHECK), str(folder)], capture_output=True, text=True, timeout=60, check=False)
    return checked.returncode, checked.stderr


def test_documented_command_makes_secrets_that_are_accepted(tmp_path):
    values = made_secrets(tmp_path / "secrets")
    assert set(values) == set(COMPOSE["secrets"])
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert len(set(values.values())) == len(values)
    assert refusals(tmp_path / "secrets") == (0, "")
    assert made_secrets(tmp_path / "secrets") == values, "what is there stays"
    assert len(values["airflow_jwt_secret"]) >= 64
    Fernet(values.pop("airflow_fernet_key"))
    assert all(re.fullmatch("[0-9a-f]{24,96}", value) for value in values.values())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "it is empty"),
        ("\n", "it is empty"),
        ("changeme-changeme-changeme", "it is a placeholder"),
        ("Password-Password-Password", "it is a placeholder"),
        ("airflow", "it is a placeholder"),
        ("0123456789", "it has 10 characters"),
        (None, "another secret is the same"),
    ],
)
def test_stack_does_not_start_with_a_made_up_secret(tmp_path, content, words):
    values = made_secrets(tmp_path)
    (tmp_path / "redis_password").write_text(values["source_db_password"] if content is None else content)
    code, said = refusals(tmp_path)
    assert code == 1
    assert words in said
    assert len(said.splitlines()) == 1
    assert "make_secrets.sh" in said
    assert not [value for value in (*values.values(), content) if value and value.strip() in said and len(value) > 20]


def test_stack_does_not_start_without_secrets(tmp_path):
    code, said = refusals(tmp_path)
    assert code == 1
    assert "make_secrets.sh" in said


def test_secrets_are_checked_before_anything_starts():
    assert set(SERVICES["secrets"]["secrets"]) == set(COMPOSE["secrets"])
    assert COMPOSE["secrets"] == {name: {"file": f"./secrets/{name}"} for name in COMPOSE["secrets"]}
    assert {"/secrets/", ".env"} <= set((HOME / ".gitignore").read_text(encoding="utf-8").splitlines())
    order = {name: set(service.get("depends_on", {})) for name, service in SERVICES.items()}
    assert all(before for name, before in order.items() if name != "secrets"), "one starts without waiting"
    assert order["postgres"] == order["redis"] == {"secrets"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_service_gets_the_secret_files_that_it_reads_and_no_others(name):
    text = json.dumps(SERVICES[name])
    read = set(re.findall(rf"{FILES}/(\w+)", text)) | set(re.findall(r"\{(\w+)\}", re.sub(r"\$\{[^}]*\}", "", text)))
    if name == "prometheus":
        read |= set(
            re.findall(rf"{FILES}/(\w+)", (HOME / "deploy/observability/prometheus.yml").read_text(encoding="utf-8"))
        )
    if name == "postgres":
        read |= set(re.findall(rf"{FILES}/(\w+)", DATABASES))
    if name != "secrets":
        assert set(SERVICES[name].get("secrets", [])) == read


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_secrets_come_from_files_only(name):
    for key, value in environment(name).items():
        assert not SECRET_NAME.search(key) or re.fullmatch(r"\{\w+\}", value), key
        password = re.search(r"://[^/@:]*:(.*?)@", value)
        assert password is None or re.fullmatch(rf"\$\$\(cat {FILES}/\w+\)|\{{\w+\}}", password[1]), key


def test_image_holds_no_secret():
    variables = re.findall(r"\b(\w+)=", " ".join(re.findall(r"^(?:ENV|ARG) .*$", DOCKERFILE, flags=re.MULTILINE)))
    assert variables
    assert not [name for name in variables if SECRET_NAME.search(name)]


def test_images_are_pinned():
    images = {service["image"] for service in SERVICES.values()} | set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.M))
    assert not [image for image in images if not re.search(r":v?\d+\.\d+(\.\d+)?(-\w+)*$", image)]
    version = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert {SERVICES[name]["image"] for name in OURS} == {f"nightshift:{version}"}


def test_ports_are_published_on_loopback_only():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert not [port for port in ports if not re.fullmatch(r"127\.0\.0\.1:\$\{\w+:-\d+\}:\d+", port)]
    assert all(service.get("network_mode") is None for service in SERVICES.values())


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_service_is_watched_and_restarted_or_ends_by_itself(name):
    service = SERVICES[name]
    if name in ONE_SHOT:
        waiting = [other for other in SERVICES.values() if name in other.get("depends_on", {})]
        assert waiting or service["profiles"], "nobody waits for it"
        return
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_dependencies_exist_and_their_condition_can_come_true(name):
    for other, wanted in SERVICES[name].get("depends_on", {}).items():
        expected = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
        assert wanted["condition"] == expected, other
        assert not SERVICES[other].get("profiles"), other


def test_there_are_two_workers_with_names_of_their_own():
    workers = {
        name: service
        for name, service in SERVICES.items()
        if "airflow celery worker" in service.get("command", [""])[-1]
    }
    assert [service["hostname"] for service in workers.values()] == list(workers) == ["worker-1", "worker-2"]
    assert all("lake:/var/lib/nightshift/lake" in service["volumes"] for service in workers.values())
    assert all(environment(name)["OMP_WAIT_POLICY"] == "PASSIVE" for name in workers)


def test_dead_worker_costs_at_most_two_minutes():
    value = {key: float(text) for key, text in environment("scheduler").items() if re.fullmatch(r"[\d.]+", text)}
    part = "AIRFLOW__SCHEDULER__TASK_{}".format
    running = value[part("INSTANCE_HEARTBEAT_TIMEOUT")] + value[part("INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL")]
    waiting = value[part("QUEUED_TIMEOUT")] + value[part("QUEUED_TIMEOUT_CHECK_INTERVAL")]
    assert running + LimitsPolicy().retry_delay_seconds < 120
    assert waiting < 120
    assert value["AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER"] == 1


@pytest.mark.parametrize(
    ("words", "executors", "loads"),
    [
        ("airflow scheduler", "LocalExecutor", True),
        ("airflow scheduler", "CeleryExecutor,KubernetesExecutor", False),
        ("airflow celery worker", "CeleryExecutor", True),
        ("airflow api-server", "LocalExecutor", False),
    ],
)
def test_libraries_are_loaded_where_tasks_are_forked(words, executors, loads):
    from orchestration.config.airflow_local_settings import makes_tasks

    assert makes_tasks(words.split(), executors) is loads


def test_who_runs_nights_does_not_approve_and_who_approves_runs_none():
    may = {name: {resource for action, resource in more if action != "menu_access"} for name, more in ROLES.items()}
    assert "HITL Detail" not in may["Operator"]
    assert may["Reviewer"] == {"HITL Detail", "DAGs"}
    page = (HOME / "docs/people/operator.md").read_text(encoding="utf-8")
    assert "| | nobody | Viewer | Reviewer | Operator | Admin |" in page
    assert set(ROLES) == {"Reviewer", "Operator"}


@pytest.mark.slow
def test_programs_know_their_commands_and_options(tmp_path):
    variables = {key for name in OURS for key in environment(name) if key.startswith("AIRFLOW__")}
    asked: dict[str, list[Any]] = {"airflow": [], "celery": [], "mlflow": [], "nightshift": [], "python": []}
    for program, *words in (line for name in sorted(OURS) for line in started(name)):
        asked[program].append(words)
    options = sorted(".".join(variable.lower().split("__")[1:]) for variable in variables)
    quiet = {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor"}
    answer = subprocess.run(
        [sys.executable, "-c", PROBE],
        input=json.dumps({**asked, "options": options}),
        env={**os.environ, **quiet},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert json.loads(answer.stdout.splitlines()[-1]) == []


def test_our_image_starts_only_programs_that_it_has():
    programs = {program for name in OURS for program, *_ in started(name)}
    assert programs == {"airflow", "celery", "mlflow", "nightshift", "python"}
    assert all((Path(sys.executable).parent / program).exists() for program in programs)


def test_python_modules_of_commands_exist():
    starts = [words for name in sorted(OURS) for program, *words in started(name) if program == "python"]
    modules = [words[1] for words in starts if words[0] == "-m"]
    assert modules == ["orchestration.accounts"]
    assert all(find_spec(name) for name in modules)
    for words in (words for words in starts if words[0] == "-c"):
        nodes = list(ast.walk(ast.parse(words[1])))
        names = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
        names |= {one.name for node in nodes if isinstance(node, ast.Import) for one in node.names}
        assert names, names
        assert all(find_spec(name) for name in names), names


def test_our_commands_exist():
    starts = [words for name in sorted(OURS) for program, *words in started(name) if program == "nightshift"]
    assert starts
    for words in starts:
        subprocess.run(nightshift(*words, "--help"), cwd=HOME, check=True, capture_output=True, timeout=60)


def test_nightshift_variables_are_settings():
    variables = {key for name in OURS for key in environment(name)} | set(re.findall(r"\b(\w+)=", DOCKERFILE))
    ours = {key.removeprefix("NIGHTSHIFT_").lower() for key in variables if key.startswith("NIGHTSHIFT_")}
    assert ours
    assert {name.split("__")[0] for name in ours} <= set(Settings.model_fields)


def test_settings_hold_what_the_compose_file_gives(monkeypatch, tmp_path):
    made = made_secrets(tmp_path)
    variables = {each.name: each for each in services({})}["worker-1"].environment
    for key, value in variables.items():
        monkeypatch.setenv(key, value.replace(FILES, str(tmp_path)))
    settings = Settings()
    url = f"postgresql+psycopg://source:{made['source_db_password']}@postgres:5432/source"
    assert settings.sources["demo"].get_secret_value() == url
    assert settings.registry_url
    assert settings.registry_url.get_secret_value() == "http://mlflow:5000"
    assert settings.lake_root == f"file://{STATE}/lake"


def test_scheduler_and_new_dags_behave_as_in_the_demo(data_dir):
    demo = local_airflow.environment(Settings(data_dir=data_dir), 8080)
    same = (
        "CORE__DAGS_ARE_PAUSED_AT_CREATION",
        "SCHEDULER__MAX_DAGRUNS_PER_LOOP_TO_SCHEDULE",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL",
        "WORKERS__MIN_HEARTBEAT_INTERVAL",
        "WORKERS__EXECUTION_API_TIMEOUT",
    )
    assert {name: environment("scheduler")[f"AIRFLOW__{name}"] for name in same} == {
        name: demo[f"AIRFLOW__{name}"] for name in same
    }


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_urls_name_services_roles_and_databases_of_this_set_up(name):
    roles = dict(re.findall(r"create role (\w+) login password :'(\w+)'", DATABASES))
    databases = set(re.findall(r"create database (\w+) owner", DATABASES))
    for key, value in environment(name).items():
        plain = re.sub(r"\$\{\w+(?::-([^}]*))?\}", r"\1", value)
        plain = re.sub(rf"\$\$\(cat {FILES}/(\w+)\)|\{{(\w+)\}}", r"\1\2", plain)
        url = urlsplit(plain.removeprefix("sh -c 'printf %s \"").removesuffix("\"'").removeprefix("db+"))
        if not url.netloc or key == "AIRFLOW__API__BASE_URL":
            continue
        assert url.hostname in SERVICES, key
        if url.scheme.startswith("postgresql"):
            assert url.scheme == "postgresql+psycopg", "the only locked driver"
            assert url.username in roles
            assert url.username is not None
            assert url.password == f"{url.username}_db_password"
            assert url.path.removeprefix("/") in databases


def test_databases_script_reads_the_passwords_that_the_server_gets():
    read = dict(re.findall(rf"^\\set (\w+) `cat {FILES}/(\w+)`$", DATABASES, flags=re.MULTILINE))
    assert set(read.values()) == set(SERVICES["postgres"]["secrets"]) - {"postgres_password"}
    assert set(re.findall(r":'(\w+)'", DATABASES)) == set(read)


def test_volumes_are_declared_and_bound_files_exist():
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    sources = {mount.split(":")[0] for mount in mounts}
    assert {source for source in sources if not source.startswith(".")} == set(COMPOSE["volumes"])
    assert all((HOME / source).is_file() for source in sources if source.startswith("."))


def test_image_has_the_folders_that_are_mounted_and_named():
    owned = re.findall(rf"{STATE}\S*", next(line for line in DOCKERFILE.splitlines() if "install --directory" in line))
    for name in OURS:
        targets = {mount.split(":")[1] for mount in SERVICES[name].get("volumes", [])}
        assert targets <= set(owned), name
        for value in environment(name).values():
            if value.startswith(CODE):
                path = value.removeprefix(f"{CODE}/")
                assert path.partition("/")[0] in copied(), value
                assert (HOME / path).exists(), value


def test_image_copies_what_exists_and_runs_as_a_user():
    ignored = (HOME / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in ignored if line and not line.startswith("#")]
    assert rules[0] == "*", "the image takes named files only"
    assert set(rules[1:]) - {"**/__pycache__", "**/.env"} == {f"!{source}" for source in copied()}
    assert not [source for source in copied() if not (HOME / source).exists()]
    (search_path,) = re.findall(r"PYTHONPATH=(\S+)", DOCKERFILE)
    assert all((HOME / Path(folder).relative_to(CODE)).is_dir() for folder in search_path.split(":"))
    assert re.findall(r"^USER (\S+)", DOCKERFILE, flags=re.MULTILINE) == ["nightshift"]


def test_ci_runs_the_tests_with_pinned_actions():
    workflow = yaml.safe_load((HOME / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    events = {"push", "pull_request", "schedule", "workflow_dispatch"}
    assert set(workflow[True]) == events, "YAML 1.1 reads the key on as True"
    assert workflow["jobs"]["nightly"]["steps"][-1]["run"] == "make test-nightly"
    job = workflow["jobs"]["test"]
    steps = [step for every in workflow["jobs"].values() for step in every["steps"]]
    assert "make test" in [step.get("run") for step in job["steps"]]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert {step["with"]["python-version"] for step in job["steps"] if "python-version" in step.get("with", {})} == {
        "${{ matrix.python }}"
    }
    assert all(re.fullmatch(r"[\w/-]+@v\d+\.\d+\.\d+", step["uses"]) for step in steps if "uses" in step)
