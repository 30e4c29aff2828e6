"""The report pages in Airflow: mounted under /nightshift, with an entry in the navigation and a tab on DAG runs.

Every Airflow process imports this file, each task's too. So it holds next to nothing: the pages, and what they need, are
loaded at the first request.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

Message = MutableMapping[str, Any]


async def pages(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer a request with the pages' own app."""
    web = await asyncio.to_thread(importlib.import_module, "pages.web")
    await web.app(scope, receive, send)


class NightshiftPages(AirflowPlugin):
    """Drift verdicts, performance and retraining decisions, behind Airflow's login."""

    name = "nightshift_pages"
    fastapi_apps = [{"app": pages, "url_prefix": "/nightshift", "name": "Nightshift"}]  # noqa: RUF012 - as Airflow has it
    external_views = [  # noqa: RUF012
        {
            "name": "Nightshift",
            "href": "/nightshift/",
            "destination": "nav",
            "nav_top_level": True,
            "url_route": "nightshift",
        },
        {
            "name": "Nightshift",
            "href": "/nightshift/run?dag_id={DAG_ID}&run_id={RUN_ID}",
            "destination": "dag_run",
            "url_route": "nightshift_run",
        },
    ]
