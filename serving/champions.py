"""Who answers for each job: its champion of the present day, taken over while requests go on."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Event, Thread
from time import monotonic
from zoneinfo import ZoneInfo

from scoring.errors import NightshiftError, VersionMissing, described
from scoring.job import Job
from scoring.night import champion_ref
from scoring.stores import Stores, Workspace
from scoring.stores.registry import VersionReasons, VersionRef
from serving.versions import Answering, Served

LOG = logging.getLogger("nightshift.serving")
RETRY_SECONDS = 60.0
"""Seconds between two tries to load a version that failed its checks: each costs a second of a core."""
CHALLENGER = "challenger"
"""The registry's alias of the version that is compared with the champion."""
_Refs = tuple[VersionRef, VersionRef | None]


@dataclass
class Seat:
    """A job, and the versions that answer for it now."""

    work: Workspace
    answering: Answering | None = None
    """None until the first champion was loaded."""
    problem: str | None = None
    """Why the versions that should answer do not, or None."""
    failures: int = 0
    """Versions that could not be taken over, each try counted."""
    takeovers: int = 0
    _refused: tuple[_Refs, float] | None = None

    @property
    def job(self) -> Job:
        """Return the job."""
        return self.work.job

    def renew(self) -> None:
        """Load the versions that should answer, and let them, unless they do already. What fails changes nothing."""
        try:
            refs = self._wanted()
            if self._answers(refs):
                self.problem, self._refused = None, None
            elif self._refused is None or self._refused[0] != refs or monotonic() - self._refused[1] > RETRY_SECONDS:
                self._take_over(refs)
        except NightshiftError as error:
            self._remember(described(error))
        except Exception as error:  # noqa: BLE001 - a thread that ends looks for no champion again; it is logged
            self._remember(described(error))

    def _wanted(self) -> _Refs:
        tonight = self.work.clock().astimezone(ZoneInfo(self.job.schedule.timezone)).date()
        champion = champion_ref(self.work, tonight)
        challenger = self._challenger()
        return champion, challenger if challenger != champion else None

    def _challenger(self) -> VersionRef | None:
        policy = self.job.serve
        if policy.challenger is None and not policy.shadow:
            return None
        number = policy.challenger.version if policy.challenger is not None else None
        if number is None:
            number = self.work.registry.aliases(self.job.name).get(CHALLENGER)
        try:
            return None if number is None else self.work.registry.resolve(self.job.name, number)
        except VersionMissing as error:
            self._remember(described(error))
            return None

    def _answers(self, refs: _Refs) -> bool:
        if self.answering is None:
            return False
        challenger = self.answering.challenger
        return (self.answering.champion.version.ref, challenger.version.ref if challenger else None) == refs

    def _take_over(self, refs: _Refs) -> None:
        champion_ref, challenger_ref = refs
        problem = None
        try:
            champion, challenger = self._served(champion_ref), None
            try:
                challenger = self._served(challenger_ref) if challenger_ref is not None else None
            except NightshiftError as error:  # the champion answers all the same
                problem = described(error)
        except Exception:  # raised again
            self._fail(refs)
            raise
        policy = self.job.serve
        share = policy.challenger.share if policy.challenger is not None else 0.0
        before, self.answering = self.answering, Answering(champion, challenger, share, policy.shadow)
        self.takeovers += before is None or before.champion is not champion
        self._refused = None
        if problem is not None:
            self._fail(refs)
            self._remember(problem)
            return
        self.problem = None
        beside = f", version {challenger.number} beside it" if challenger else ""
        LOG.info("%s: version %s answers%s", self.job.name, champion.number, beside)

    def _fail(self, refs: _Refs) -> None:
        self.failures += 1
        self._refused = refs, monotonic()

    def _served(self, ref: VersionRef) -> Served:
        """Return a version, the one that is there already where it is the same."""
        there = [self.answering.champion, self.answering.challenger] if self.answering is not None else []
        for served in there:
            if served is not None and served.version.ref == ref:
                return served
        registry = self.work.registry
        return Served.of(registry.load(ref, self.job), self.job, lambda: VersionReasons(registry, ref, self.job))

    def _remember(self, problem: str) -> None:
        if problem != self.problem:
            stays = f"; version {self.answering.champion.number} goes on answering" if self.answering else ""
            LOG.error("%s: %s%s", self.job.name, problem, stays)
        self.problem = problem


class Seats:
    """The jobs that are served, looked after by a thread of its own."""

    def __init__(self, stores: Stores, jobs: Iterable[Job], poll_seconds: float) -> None:
        """Begin with nobody who answers."""
        self.by_job = {job.name: Seat(Workspace(stores, job)) for job in jobs}
        self._poll_seconds, self._ended = poll_seconds, Event()
        self._thread = Thread(target=self._look_after, name="champions", daemon=True)

    @property
    def ready(self) -> bool:
        """Return whether somebody answers for every job."""
        return all(seat.answering is not None for seat in self.by_job.values())

    def start(self) -> None:
        """Begin to look after the seats."""
        self._thread.start()

    def stop(self) -> None:
        """End that."""
        self._ended.set()
        self._thread.join(timeout=30)

    def _look_after(self) -> None:
        while not self._ended.is_set():
            for seat in self.by_job.values():
                seat.renew()
            self._ended.wait(self._poll_seconds)
