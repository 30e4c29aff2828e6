"""Secrets in files: where a URL names them, what a missing one says, and that none is shown."""

from __future__ import annotations

import pytest

from scoring.errors import SettingsError
from scoring.secrets import redact
from scoring.settings import Settings, load_settings

PASSWORD = "p@ss/w:rd?"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "warehouse_db_password").write_text(f"{PASSWORD}\n")
    (tmp_path / "empty").write_text("\n")
    return tmp_path


def test_url_takes_its_password_from_a_file(folder, monkeypatch):
    monkeypatch.setenv("NIGHTSHIFT_SECRETS_DIR", str(folder))
    monkeypatch.setenv("NIGHTSHIFT_WAREHOUSE_URL", "postgresql+psycopg://me:{warehouse_db_password}@host/warehouse")
    monkeypatch.setenv("NIGHTSHIFT_SOURCES__DEMO", "postgresql+psycopg://me:{warehouse_db_password}@host/source")
    settings = Settings()
    quoted = "p%40ss%2Fw%3Ard%3F"
    assert settings.warehouse_url is not None
    assert settings.warehouse_url.get_secret_value() == f"postgresql+psycopg://me:{quoted}@host/warehouse"
    assert settings.sources["demo"].get_secret_value() == f"postgresql+psycopg://me:{quoted}@host/source"
    assert PASSWORD not in repr(settings) + redact(f"failed for {PASSWORD} and {quoted}")
    assert quoted not in redact(f"failed for {quoted}")


@pytest.mark.parametrize(
    "content", ["bWV0cmljcy10b2tlbg+/4pyT/w==", "postgresql+psycopg://me:p%40ss@host:5432/db?sslmode=require"]
)
def test_setting_that_is_only_a_name_is_the_file_as_it_is(folder, monkeypatch, content):
    (folder / "whole").write_text(f"{content}\n")
    monkeypatch.setenv("NIGHTSHIFT_SECRETS_DIR", str(folder))
    monkeypatch.setenv("NIGHTSHIFT_METRICS_TOKEN", "{whole}")
    monkeypatch.setenv("NIGHTSHIFT_WAREHOUSE_URL", "{whole}")
    settings = Settings()
    assert settings.metrics_token is not None
    assert settings.warehouse_url is not None
    assert settings.metrics_token.get_secret_value() == settings.warehouse_url.get_secret_value() == content
    assert content not in redact(f"refused: {content}")


def test_child_process_gets_the_same_settings(folder, monkeypatch):
    monkeypatch.setenv("NIGHTSHIFT_SECRETS_DIR", str(folder))
    monkeypatch.setenv("NIGHTSHIFT_WAREHOUSE_URL", "postgresql+psycopg://me:{warehouse_db_password}@host/warehouse")
    settings = Settings()
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings().warehouse_url == settings.warehouse_url


def test_brace_is_a_brace_without_a_folder(monkeypatch):
    monkeypatch.setenv("NIGHTSHIFT_WAREHOUSE_URL", "postgresql+psycopg://me:{x}@host/warehouse")
    settings = Settings()
    assert settings.warehouse_url is not None
    assert settings.warehouse_url.get_secret_value().endswith(":{x}@host/warehouse")


@pytest.mark.parametrize(("name", "words"), [("absent", "it cannot be read"), ("empty", "it is empty")])
def test_file_that_gives_no_secret_is_an_error_that_names_it(folder, monkeypatch, name, words):
    monkeypatch.setenv("NIGHTSHIFT_SECRETS_DIR", str(folder))
    monkeypatch.setenv("NIGHTSHIFT_WAREHOUSE_URL", f"postgresql+psycopg://me:{{{name}}}@host/warehouse")
    load_settings.cache_clear()
    with pytest.raises(SettingsError, match=f"{name}: found {words}.*NIGHTSHIFT_SECRETS_DIR"):
        load_settings()
    load_settings.cache_clear()
