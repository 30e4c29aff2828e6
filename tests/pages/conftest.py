"""A browser at the pages, of somebody who is logged in."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from airflow.api_fastapi.core_api.security import get_user
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pages import web
from pages.content.places import Places
from scoring.job.files import find_job
from tests.conftest import Toy


@pytest.fixture
def readable(toy: Toy) -> set[str]:
    """The jobs that the user may see, to be changed by a test."""
    return {toy.job.name}


@pytest.fixture
def client(toy: Toy, readable: set[str]) -> Iterator[TestClient]:
    """A browser of somebody who is logged in, at Airflow with the pages mounted."""
    read = Places(toy.stores.warehouse, toy.stores.lake, lambda name: find_job(toy.stores.settings.jobs_dir, name))
    web.app.dependency_overrides |= {
        get_user: lambda: SimpleNamespace(name="somebody"),
        web.readable_jobs: lambda: frozenset(readable),
        web.places: lambda: read,
    }
    with TestClient(mounted(), base_url="http://testserver/nightshift/") as opened:
        yield opened
    web.app.dependency_overrides.clear()


def mounted() -> FastAPI:
    """Return an Airflow that has the pages and nothing else."""
    root = FastAPI()
    root.mount("/nightshift", web.app)
    return root
