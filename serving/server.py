"""Runs the web application: one process, or several that share its address."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from scoring.errors import SettingsError
from scoring.job import Job
from scoring.secrets import redact
from scoring.settings import Settings
from scoring.stores import open_stores
from serving.access import LOOPBACK
from serving.app import Office, application, require_keys


@dataclass(frozen=True)
class Address:
    """Where to listen, and in how many processes."""

    host: str = LOOPBACK[0]
    port: int = 8000
    workers: int = 1


SWITCH_SECONDS = 0.0002
"""Python's default of 5 ms is what a request waits, at each of its steps, while another thread records answers."""


def serve(settings: Settings, jobs: Sequence[Job], address: Address, clock: Callable[[], datetime]) -> None:
    """Answer requests for predictions of ``jobs`` until the process is asked to end. What it was asked by then is answered.

    Raises ``SettingsError`` for an address that others reach, when there are no keys, and for one that is taken.
    """
    loopback = address.host in LOOPBACK
    require_keys(Office.of(open_stores(settings, clock), jobs, loopback))
    config = _config(partial(made, settings, tuple(jobs), loopback, clock), settings, address)
    try:
        socket = config.bind_socket()
    except SystemExit:  # uvicorn has said so in its log
        raise SettingsError(f"address {address.host}:{address.port}", found="one that cannot be listened on") from None
    if address.workers == 1:
        uvicorn.Server(config).run(sockets=[socket])
    else:
        Multiprocess(config, sockets=[socket]).run()


def made(settings: Settings, jobs: tuple[Job, ...], loopback: bool, clock: Callable[[], datetime]) -> Any:
    """Return the application, made in the process that answers."""
    sys.setswitchinterval(SWITCH_SECONDS)
    logging.getLogger("nightshift.serving").setLevel(logging.INFO)
    return application(Office.of(open_stores(settings, clock), jobs, loopback))


def _config(app: Callable[[], Any], settings: Settings, address: Address) -> uvicorn.Config:
    limits = settings.serve
    return uvicorn.Config(
        app,
        factory=True,
        host=address.host,
        port=address.port,
        workers=address.workers,
        access_log=False,
        ws="none",
        server_header=False,
        limit_concurrency=limits.concurrent_requests,
        timeout_graceful_shutdown=limits.stop_seconds,
        log_config=_logging(),
        proxy_headers=False,
    )


class Redacted(logging.Formatter):
    """A line for each message, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return redact(super().format(record))


def _logging() -> dict[str, Any]:
    handler = {"class": "logging.StreamHandler", "formatter": "line"}
    line = {"()": Redacted, "format": "%(asctime)s %(levelname)s %(message)s"}
    loggers = {name: {"handlers": ["err"], "level": "INFO", "propagate": False} for name in ("uvicorn", "nightshift")}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": line},
        "handlers": {"err": handler},
        "loggers": loggers,
    }
