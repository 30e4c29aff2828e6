"""``/metrics`` for Prometheus: what the warehouse says of every job, for a scraper with the token or a person with a login."""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest
from threading import Lock
from time import monotonic
from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import get_user
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from pages.content import Places
from scoring.metrics import Sample, exposition
from scoring.settings import load_settings
from scoring.stores.warehouse import overview
from scoring.upkeep import measure_jobs

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
KEPT_SECONDS = 15
"""Seconds that an answer is given again without reading the warehouse: many scrapers cost no more than one."""
WAIT_SECONDS = 5
"""Seconds that an answer waits for another one that reads the warehouse. Raising it lets more threads of the web server wait."""
SCRAPER = object()
"""Whoever has the token of the settings, which is no user of Airflow's."""
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]
Readable = frozenset[str] | None
"""The jobs that somebody may read, or None for all of them."""


class Measurements:
    """The newest samples of an installation, read anew when they are older than ``KEPT_SECONDS``."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._lock = Lock()
        self._read: tuple[Places, float, list[Sample]] | None = None

    def of(self, places: Places) -> list[Sample]:
        """Return the samples of all jobs. Answers 503 while another reader waits for the warehouse."""
        if not self._lock.acquire(timeout=WAIT_SECONDS):
            raise HTTPException(503, "The warehouse is being read, and has not answered yet. Ask again.")
        try:
            if self._read is None or self._read[0] is not places or monotonic() - self._read[1] > KEPT_SECONDS:
                self._read = (places, monotonic(), _measured(places))
            return self._read[2]
        finally:
            self._lock.release()


def add_metrics(
    app: FastAPI, places: Callable[[], Places], readable_jobs: Callable[[Any], frozenset[str]]
) -> Measurements:
    """Let ``app`` answer at ``/metrics``, and return what it keeps. Its other routes ask for a login, this one for either."""
    router, measurements = APIRouter(dependency_overrides_provider=app), Measurements()

    async def asker(request: Request, bearer: Bearer) -> Any:
        return SCRAPER if _is_scraper(bearer) else await get_user(request, None, bearer)

    def readable_by(user: Any = Depends(asker)) -> Readable:  # noqa: B008
        """Asks Airflow's database, hence in a thread."""
        return None if user is SCRAPER else readable_jobs(user)

    @router.get("/metrics")
    def metrics(readable: Readable = Depends(readable_by), read: Places = Depends(places)) -> Response:  # noqa: B008
        samples = measurements.of(read)
        shown = [sample for sample in samples if readable is None or sample.labels["job"] in readable]
        return Response(exposition(shown), headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})

    app.router.routes.extend(router.routes)  # not included: then the login would be asked for first
    return measurements


def _measured(places: Places) -> list[Sample]:
    names = [name for name in overview.known_jobs(places.warehouse) if places.has_file(name)]
    jobs = {name: places.job(name) for name in names}
    valid = [job for job in jobs.values() if job is not None]
    broken = [name for name, job in jobs.items() if job is None]
    return measure_jobs(places.warehouse, valid, load_settings().cpu_hour_price, broken)


def _is_scraper(bearer: HTTPAuthorizationCredentials | None) -> bool:
    token = load_settings().metrics_token
    return bool(token and bearer and compare_digest(bearer.credentials.encode(), token.get_secret_value().encode()))
