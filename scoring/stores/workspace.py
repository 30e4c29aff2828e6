"""``Workspace``: one job together with the stores of its installation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from scoring.job import Job
from scoring.settings import Settings
from scoring.stores.installation import Stores
from scoring.stores.lake import Lake
from scoring.stores.registry import Registry
from scoring.stores.warehouse import Warehouse, unerased

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Workspace:
    """A job and the stores that it is read from and written to."""

    stores: Stores
    job: Job

    @property
    def warehouse(self) -> Warehouse:
        """Return the warehouse of the installation."""
        return self.stores.warehouse

    @property
    def registry(self) -> Registry:
        """Return the model registry of the installation."""
        return self.stores.registry

    @property
    def lake(self) -> Lake:
        """Return the lake of the installation."""
        return self.stores.lake

    @property
    def settings(self) -> Settings:
        """Return the installation's settings."""
        return self.stores.settings

    @property
    def clock(self) -> Callable[[], datetime]:
        """Return the function that tells the time."""
        return self.stores.clock


def no_erasure(use_case: Callable[Concatenate[Workspace, P], R]) -> Callable[Concatenate[Workspace, P], R]:
    """Return a use-case that reads rows and writes what follows from them, while no erasure of the job can begin."""

    @wraps(use_case)
    def undisturbed(work: Workspace, /, *arguments: P.args, **more: P.kwargs) -> R:
        with unerased(work.warehouse, work.job.name):
            return use_case(work, *arguments, **more)

    return undisturbed
