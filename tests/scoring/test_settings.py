"""The environment, read once, with secrets masked."""

from __future__ import annotations

import os

import pytest
from pydantic import SecretStr, ValidationError

from scoring import __version__
from scoring import settings as module
from scoring.errors import SettingsError
from scoring.settings import HOME, Settings, child_environment, code_version, load_settings, quiet_telemetry

SECRET = "s3cr3t-pa55"


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch, tmp_path):
    """An environment and a settings file without any of our variables; what was read is forgotten afterwards."""
    for name in list(os.environ):
        if name.startswith("NIGHTSHIFT_"):
            monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / "nightshift.env")
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def test_defaults_lie_in_the_project_and_name_no_server():
    found = load_settings()
    assert found.home == HOME
    assert found.lake_root == str(HOME / "data" / "lake")
    assert found.artifacts_root == str(HOME / "data" / "models")
    assert found.postgres_dir == HOME / "data" / "postgres"
    assert found.airflow_home == HOME / "data" / "airflow"
    assert found.sql_path("flight_delay", "features") == HOME / "sql" / "flight_delay" / "features.sql"
    assert (found.warehouse_url, found.registry_url, found.analyst_url, found.sources) == (None, None, None, {})


def test_load_settings_reads_sources_by_name(monkeypatch):
    monkeypatch.setenv("NIGHTSHIFT_SOURCES__CRM", f"postgresql://u:{SECRET}@crm/x")
    monkeypatch.setenv("NIGHTSHIFT_SOURCES__Billing_2", "sqlite:///billing.db")
    found = load_settings().sources
    assert sorted(found) == ["billing_2", "crm"]
    assert found["crm"].get_secret_value() == f"postgresql://u:{SECRET}@crm/x"


def test_load_settings_reads_every_kind_of_value(monkeypatch, tmp_path):
    monkeypatch.setenv("NIGHTSHIFT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("NIGHTSHIFT_LAKE_URL", "s3://lake/prefix")
    monkeypatch.setenv("NIGHTSHIFT_SCORE_THREADS", "5")
    monkeypatch.setenv("NIGHTSHIFT_WAREHOUSE_URL", "postgresql://w/x")
    found = load_settings()
    assert found.data_dir == tmp_path
    assert found.postgres_dir == tmp_path / "postgres"
    assert found.lake_root == "s3://lake/prefix"
    assert found.score_threads == 5
    assert found.warehouse_url == SecretStr("postgresql://w/x")


def test_retention_is_read_and_passed_on_to_child_processes(monkeypatch):
    assert (load_settings().retention.apply, load_settings().environment()) == (False, {})
    load_settings.cache_clear()
    given = {"NIGHTSHIFT_RETENTION__SUPERSEDED_DAYS": "7", "NIGHTSHIFT_RETENTION__APPLY": "True"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = load_settings()
    assert (found.retention.superseded_days, found.retention.failed_days, found.retention.apply) == (7, 30, True)
    assert found.environment() == given


def test_load_settings_puts_the_environment_above_the_file(monkeypatch, tmp_path):
    (tmp_path / "nightshift.env").write_text("NIGHTSHIFT_CODE_VERSION=file\nNIGHTSHIFT_SCORE_THREADS=3\nOTHER=1\n")
    monkeypatch.setenv("NIGHTSHIFT_CODE_VERSION", "environment")
    assert (load_settings().code_version, load_settings().score_threads) == ("environment", 3)


def test_load_settings_reads_once(monkeypatch):
    first = load_settings()
    monkeypatch.setenv("NIGHTSHIFT_SCORE_THREADS", "5")
    assert load_settings() is first


@pytest.mark.parametrize(
    "name",
    ["SOURCES__CRM", "WAREHOUSE_URL", "ANALYST_URL", "REGISTRY_URL", "LAKE_URL", "ARTIFACTS_URL"],
)
def test_settings_show_no_secret(monkeypatch, name):
    url = f"sftp://user:{SECRET}@host/x"
    monkeypatch.setenv(f"NIGHTSHIFT_{name}", url)
    found = load_settings()
    kept = [found.lake_url, found.artifacts_url, *found.sources.values()]
    kept += [found.warehouse_url, found.analyst_url, found.registry_url]
    plain = [value.get_secret_value() if isinstance(value, SecretStr) else value for value in kept]
    assert url in plain  # it was read, so that the next line says something
    for shown in (repr(found), str(found), f"{found}", str(found.sources), str(found.__repr_args__())):
        assert SECRET not in shown


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("NIGHTSHIFT_SCORE_THREADS", "many", "expected a whole number"),
        ("NIGHTSHIFT_SCORE_THREADS", "0", "expected at least 1"),
        ("NIGHTSHIFT_AIRFLOW_PORT", "80", "expected at least 1024"),
        ("NIGHTSHIFT_RETENTION__VERSIONS_KEPT", "0", "expected at least 1"),
        ("NIGHTSHIFT_RETENTION__VERSION_KEPT", "5", "found an unknown key; did you mean versions_kept?"),
        ("NIGHTSHIFT_SOURCES", f'["{SECRET}"]', "expected a mapping"),
        ("NIGHTSHIFT_SOURCES", f"postgresql://u:{SECRET}@h/x", "JSON"),
        ("NIGHTSHIFT_SOURCES__CRM__MAIN", SECRET, "expected text"),
    ],
)
def test_load_settings_names_the_variable_but_not_its_value_when_it_is_malformed(monkeypatch, name, value, problem):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    message = str(caught.value)
    assert name.removesuffix("__MAIN") in message
    assert problem in message
    assert SECRET not in message
    assert caught.value.__suppress_context__  # the error behind it holds the value


def test_load_settings_names_every_variable_that_does_not_fit(monkeypatch):
    monkeypatch.setenv("NIGHTSHIFT_SCORE_THREADS", SECRET)
    monkeypatch.setenv("NIGHTSHIFT_AIRFLOW_PORT", "80")
    with pytest.raises(SettingsError, match="2 environment variables") as caught:
        load_settings()
    message = str(caught.value)
    assert "\n  - environment variable NIGHTSHIFT_SCORE_THREADS: found a value that does not fit, expected a" in message
    assert "\n  - environment variable NIGHTSHIFT_AIRFLOW_PORT: " in message
    assert SECRET not in message


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().score_threads = 7  # type: ignore[misc]


def test_quiet_telemetry_keeps_what_is_set(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    for name in module.QUIET:
        monkeypatch.setenv(name, "")  # so that monkeypatch restores it
        monkeypatch.delenv(name)
    quiet_telemetry()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert {name: os.environ[name] for name in module.QUIET} == module.QUIET


def test_child_environment_is_this_one_quiet_with_more_on_top(monkeypatch):
    monkeypatch.setenv("ONE", "mine")
    monkeypatch.setenv("TWO", "mine")
    found = child_environment({"TWO": "child"})
    assert (found["ONE"], found["TWO"], found["DO_NOT_TRACK"]) == ("mine", "child", "1")
    assert os.environ["TWO"] == "mine"


def test_code_version_is_the_setting_if_there_is_one():
    assert code_version(Settings(code_version="2026.1")) == "2026.1"


def test_code_version_names_the_commit_in_a_checkout():
    if not (HOME / ".git").exists():
        pytest.skip("no git checkout")
    version, _, commit = code_version(Settings()).partition("+")
    assert version == __version__
    assert commit


def test_code_version_is_the_package_version_outside_a_checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert code_version(Settings(home=tmp_path)) == __version__
