"""What tests of serving share: the application of a job, with its versions loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from fastapi.testclient import TestClient

from serving.app import Office, application
from tests.conftest import Toy
from tests.support.serving import Serve, until


@pytest.fixture
def serve(untrained: Toy) -> Iterator[Serve]:
    """Serve the job of the fixture ``untrained``, or ``toy``, until the test ends, once a champion answers."""
    with ExitStack() as stack:

        def started(loopback: bool = True, ready: bool = True, **limits: Any) -> tuple[TestClient, Office]:
            policy = untrained.stores.settings.serve.model_copy(
                update={"poll_seconds": 0.1, "flush_seconds": 0.1, **limits}
            )
            settings = untrained.stores.settings.model_copy(update={"serve": policy})
            stores = type(untrained.stores)(**{**vars(untrained.stores), "settings": settings})
            office = Office.of(stores, [untrained.job], loopback)
            client = stack.enter_context(TestClient(application(office), base_url="http://localhost"))
            if ready:
                until(lambda: office.seats.ready)
            return client, office

        yield started
