"""The generated pages: they say what the code says now, and they say something of everything."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import BaseModel, SecretStr

from scoring.job import Job
from scoring.settings import Settings
from scoring.stores.warehouse import ensure_requests, open_warehouse
from tests.conftest import new_database
from tools.reference.__main__ import FOLDER, PAGES, example_job
from tools.reference.commands import application
from tools.reference.fields import documented, models_in
from tools.reference.warehouse import warehouse

STALE = "the page is stale: run `make docs`"


@pytest.mark.parametrize("name", PAGES)
def test_page_says_what_the_code_says(name):
    assert (FOLDER / f"{name}.md").read_text(encoding="utf-8") == PAGES[name](), STALE


def test_page_about_the_warehouse_says_what_a_migrated_database_says(data_dir: Path, template: str):
    url = SecretStr(new_database(data_dir, template))
    store = open_warehouse(Settings(data_dir=data_dir, warehouse_url=url, sources={}))
    job = example_job()
    ensure_requests(store, job)
    written = warehouse(store, job)
    store.engine.dispose()
    assert (FOLDER / "warehouse.md").read_text(encoding="utf-8") == written, STALE


def test_every_table_and_view_says_what_it_is(stores):
    inspector = sa.inspect(stores.warehouse.engine)
    names = {*inspector.get_table_names(), *inspector.get_view_names()} - {"alembic_version"}
    assert [name for name in names if not inspector.get_table_comment(name)["text"]] == []


@pytest.mark.parametrize("model", [*models_in(Job), *models_in(Settings)], ids=lambda model: model.__name__)
def test_every_field_says_what_it_means(model: type[BaseModel]):
    assert [field.name for field in documented(model, str) if not field.meaning] == []


def test_every_command_and_option_says_what_it_does():
    silent = [name for name, command in application().commands.items() if not command.help]
    for name, command in application().commands.items():
        silent += [f"{name} {one.name}" for one in command.params if not getattr(one, "help", None)]
    assert silent == []
