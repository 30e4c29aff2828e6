"""The web application of `nightshift serve`: who may ask what, within which limits, and how it is answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html

from scoring.errors import NightshiftError, SettingsError
from scoring.job import Job
from scoring.metrics import exposition
from scoring.rows import one_thread
from scoring.stores import Stores
from serving.access import Access
from serving.champions import Seats
from serving.desk import Desk, Said, say
from serving.journal import Journal
from serving.limits import Rate, Refused, body_of
from serving.openapi import openapi
from serving.published import key_in, published_row
from serving.recording import Recorder

JSON = "application/json"
SMALL_BODY = 32_768
"""Bytes of a body up to which it is answered at once, without another thread: about as many rows as are looked at one by one."""
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MOST_REASONS = 100
"""Contributions to a prediction that can be asked for, as in a job file."""
Handler = Callable[[Request], Awaitable[Response]]


@dataclass
class Office:
    """Everything that serving needs: the desks by job, who looks after them, and the limits."""

    stores: Stores
    desks: dict[str, Desk]
    seats: Seats
    recorder: Recorder
    access: Access
    rate: Rate
    pool: ThreadPoolExecutor

    @classmethod
    def of(cls, stores: Stores, jobs: Iterable[Job], loopback: bool) -> Office:
        """Return the office of some jobs. Nothing is loaded yet."""
        limits = stores.settings.serve
        seats = Seats(stores, jobs, limits.poll_seconds)
        desks = {
            name: Desk(seat, Journal(stores.settings.data_dir / "serving" / name, limits.journal_mib))
            for name, seat in seats.by_job.items()
        }
        recorder = Recorder([(desk.seat, desk.journal) for desk in desks.values()], limits.flush_seconds)
        pool = ThreadPoolExecutor(1, "answers", initializer=lambda: one_thread().__enter__())
        access = Access(stores.settings, loopback)
        return cls(stores, desks, seats, recorder, access, Rate(limits.requests_per_second), pool)

    def start(self) -> None:
        """Begin to look after champions and journals."""
        self.seats.start()
        self.recorder.start()

    def stop(self) -> None:
        """End that, once every answer was recorded that can be."""
        self.pool.shutdown()
        self.recorder.stop()
        self.seats.stop()

    def desk(self, request: Request) -> Desk:
        """Return the desk of the job that a path names, for who may ask there. Raises ``Refused``."""
        name = request.path_params["job"]
        sender = self.access.sender(request.headers, name)
        desk = self.desks.get(name)
        if desk is None:
            raise Refused(404, f"job {name!r}: found jobs {sorted(self.desks)}")
        self.rate.take(sender)
        return desk


def application(office: Office) -> FastAPI:
    """Return the application. It begins to load versions when it is started."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        office.start()
        yield
        await asyncio.get_running_loop().run_in_executor(None, office.stop)

    app = FastAPI(title="Nightshift", openapi_url=None, docs_url=None, redoc_url=None, lifespan=life)
    routes: list[tuple[str, Handler, str]] = [
        ("/v1/jobs/{job}/predictions", _predictions(office), "POST"),
        ("/v1/jobs/{job}/predictions/{key:path}", _published(office), "GET"),
        ("/health/live", _live, "GET"),
        ("/health/ready", _ready(office), "GET"),
        ("/metrics", _metrics(office), "GET"),
        ("/openapi.json", _description(office), "GET"),
        ("/docs", _docs(office), "GET"),
    ]
    for path, handler, method in routes:
        app.add_route(path, refusing(handler), methods=[method])
    return app


def refusing(handler: Handler) -> Handler:
    """Return a handler that answers ``Refused`` with its status and sentence."""

    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except Refused as refused:
            return _problem(refused)

    return answered


def _problem(refused: Refused) -> Response:
    content = json.dumps({"detail": refused.detail}).encode()
    return Response(content, refused.status, headers=refused.headers, media_type=JSON)


def _predictions(office: Office) -> Handler:
    limits = office.stores.settings.serve

    async def predictions(request: Request) -> Response:
        desk = office.desk(request)
        try:
            _require_json(request)
            body = await body_of(
                request.stream(), request.headers.get("content-length"), limits.body_mib, limits.request_seconds
            )
            began = monotonic()
            said = await _said(office, desk, body, _top(request), limits.request_seconds)
        except Refused as refused:
            desk.counted.statuses[refused.status] += 1
            raise
        except NightshiftError as error:  # the pipeline fails on these rows, or the worker of its environment has ended
            desk.counted.statuses[503] += 1
            raise Refused(503, str(error), {"Retry-After": "5"}) from None
        desk.counted.statuses[said.status] += 1
        desk.counted.rows += said.answer.versions
        desk.counted.refused += len(said.answer.rows) - said.answer.accepted
        desk.counted.took(monotonic() - began)
        return Response(said.body, said.status, {"X-Request-ID": said.request_id}, JSON)

    return predictions


async def _said(office: Office, desk: Desk, body: bytes, top: int, seconds: float) -> Said:
    """Return the answer to a body, written into the journal before anybody sees it."""
    by = desk.by()
    if by.inline and len(body) <= SMALL_BODY and not top:
        said = say(by, body)
    else:
        loop = asyncio.get_running_loop()
        try:
            said = await asyncio.wait_for(loop.run_in_executor(office.pool, say, by, body, top), seconds)
        except TimeoutError:
            raise Refused(503, f"found no answer in {seconds:g} seconds", {"Retry-After": "5"}) from None
    if said.answer.accepted:
        desk.journal.add(said.entry(by, body, office.stores.clock()))
    return said


def _top(request: Request) -> int:
    """Return how many contributions to each prediction are asked for by ``?reasons=``, 0 without it. Raises ``Refused``."""
    text = request.query_params.get("reasons", "0")
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= MOST_REASONS):
        raise Refused(422, f"reasons: found {text[:80]!r}, expected a number of features, 1 to {MOST_REASONS}")
    return int(text)


def _require_json(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise Refused(415, f"content-type: found {kind[:80]!r}, expected {JSON}")
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise Refused(415, f"content-encoding: found {encoding[:80]!r}, expected none")


def _published(office: Office) -> Handler:
    async def published(request: Request) -> Response:
        desk = office.desk(request)
        key = key_in(request.scope.get("raw_path") or request.url.path.encode(), desk.job)
        loop = asyncio.get_running_loop()
        try:
            row = await loop.run_in_executor(None, published_row, desk.seat.work, key)
        except NightshiftError as error:
            raise Refused(503, str(error), {"Retry-After": "5"}) from None
        if row is None:
            raise Refused(404, f"{desk.job.name}: found no published night with this key")
        return Response(json.dumps(row).encode(), media_type=JSON)

    return published


async def _live(request: Request) -> Response:
    """Answers as long as the process can answer anything."""
    return Response(b'{"status":"live"}', media_type=JSON)


def _ready(office: Office) -> Handler:
    async def ready(request: Request) -> Response:
        """Answers 200 once every job has a version; from then on, whatever becomes of later ones."""
        jobs = {name: _state(desk) for name, desk in office.desks.items()}
        status = 200 if office.seats.ready else 503
        return Response(json.dumps({"ready": status == 200, "jobs": jobs}).encode(), status, media_type=JSON)

    return ready


def _state(desk: Desk) -> dict[str, Any]:
    answering = desk.seat.answering
    return {"model_version": answering.champion.number if answering else None, "taken_over": desk.seat.problem is None}


def _metrics(office: Office) -> Handler:
    async def metrics(request: Request) -> Response:
        office.access.require_any(request.headers)
        samples = [sample for desk in office.desks.values() for sample in desk.counted.samples(desk.seat, desk.journal)]
        return Response(
            exposition(samples).encode(), headers={"Content-Type": METRICS_TYPE, "Cache-Control": "no-store"}
        )

    return metrics


def _description(office: Office) -> Handler:
    content = json.dumps(openapi([desk.job for desk in office.desks.values()], office.access.secured)).encode()

    async def description(request: Request) -> Response:
        office.access.require_any(request.headers)
        return Response(content, media_type=JSON)

    return description


def _docs(office: Office) -> Handler:
    page = get_swagger_ui_html(openapi_url="/openapi.json", title="Nightshift")

    async def docs(request: Request) -> Response:
        office.access.require_any(request.headers)
        return page

    return docs


def require_keys(office: Office) -> None:
    """Raise ``SettingsError`` when others could ask without a key."""
    if office.access.secured and not office.access.has_keys:
        raise SettingsError(
            "API keys",
            found=f"none in {office.access.path}",
            expected="one, for an address that others reach",
            next_step="make one with `nightshift api-key make`, or serve on 127.0.0.1",
        )
