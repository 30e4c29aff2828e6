"""The journal of a job: every answered request in a file before its answer is sent, until the warehouse has it.

A file belongs to the process that writes it, which holds a lock on it; one whose writer is gone may be loaded by anybody.
A killed process loses nothing that it answered: the operating system has what was written. A machine that loses its power
loses what the operating system had not yet put on the disk.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

MIB = 2**20
SUFFIX = ".journal"
_LARGEST = 32 * MIB
"""Size of a file beyond which another is begun: one is read as a whole."""


@dataclass(frozen=True)
class Entry:
    """A request that was answered."""

    request_id: str
    at: datetime
    champion: int
    """Version that was champion; rows of another were the challenger's."""
    request: bytes
    answer: bytes

    @property
    def rows(self) -> list[tuple[int, dict[str, Any], dict[str, Any]]]:
        """Return place, row and answer of each row that was scored."""
        rows, answers = json.loads(self.request)["rows"], json.loads(self.answer)["predictions"]
        pairs = zip(rows, answers, strict=True)
        return [(place, row, said) for place, (row, said) in enumerate(pairs) if "prediction" in said]


class Journal:
    """The journal of one job, written by one process."""

    def __init__(self, folder: Path, limit_mib: int) -> None:
        """Write below ``folder``, up to a size of all files there together."""
        self.folder, self._limit = folder, limit_mib * MIB
        self._lock, self._file, self._written = Lock(), -1, 0
        self._number = 0
        self.lost = 0
        """Requests that were answered and not recorded, for want of room."""
        self.pending = self._size()
        """Bytes that the warehouse does not have yet, of all processes when last looked."""

    def add(self, entry: Entry) -> bool:
        """Write an answered request, and return whether there was room for it."""
        head = [entry.request_id, entry.at.isoformat(), entry.champion, len(entry.request), len(entry.answer)]
        record = b"".join((json.dumps(head).encode(), b"\n", entry.request, entry.answer, b"\n"))
        with self._lock:
            try:
                self._append(record)
            except OSError:
                self.lost += 1
                return False
        return True

    def _append(self, record: bytes) -> None:
        if self.pending + len(record) > self._limit:
            raise OSError("the journal is full")
        if self._file >= 0 and self._written > _LARGEST:
            self._end()
        if self._file < 0:
            self._open()
        try:
            written = os.write(self._file, record)
        except OSError:
            written = -1
        if written != len(record):  # no room on the disk
            os.ftruncate(self._file, self._written)
            raise OSError("the disk is full")
        self._written += written
        self.pending += written

    def _open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._number += 1
        path = self.folder / f"{os.getpid()}-{os.urandom(4).hex()}-{self._number:06}{SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._written = 0

    def rotate(self) -> None:
        """End the file that is written, so that it can be loaded. The next request begins another."""
        with self._lock:
            self._end()
            self.pending = self._size()

    def _end(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _size(self) -> int:
        return sum(path.stat().st_size for path in self.folder.glob(f"*{SUFFIX}") if path.exists())

    def files(self) -> Iterator[tuple[Path, Iterator[Entry]]]:
        """Yield the files that nobody writes or loads, each with its entries. One that was gone on from is removed."""
        for path in sorted(self.folder.glob(f"*{SUFFIX}"), key=lambda path: path.name):
            try:
                file = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.exists():
                    yield path, _entries(path.read_bytes())
                    path.unlink(missing_ok=True)
            except BlockingIOError:
                continue
            finally:
                os.close(file)


def _entries(content: bytes) -> Iterator[Entry]:
    """Yield the entries of a file, up to one that was not written to its end."""
    place = 0
    while (end := content.find(b"\n", place)) >= 0:
        request_id, at, champion, request, answer = json.loads(content[place:end])
        last = end + 1 + request + answer
        if len(content) <= last:
            return
        body = content[end + 1 : last]
        yield Entry(request_id, datetime.fromisoformat(at), champion, body[:request], body[request:])
        place = last + 1
