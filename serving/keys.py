"""API keys: made once and shown once, kept as sha256, each for some jobs. Who takes a key away takes it away at once."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from hmac import compare_digest
from typing import Any

from scoring.errors import Permanent, SettingsError
from scoring.settings import Settings

PREFIX = "ns_"
"""What every key begins with, so that scanners for secrets know one."""
_BYTES = 32
"""Random bytes of a key: nobody guesses them, which is why a plain sha256 keeps them secret."""
ALL_JOBS = "*"


@dataclass(frozen=True)
class ApiKey:
    """A key on record. The key itself is nowhere."""

    name: str
    sha256: str
    jobs: tuple[str, ...]
    made_at: str

    def opens(self, job: str) -> bool:
        """Return whether the key is for a job."""
        return job in self.jobs or ALL_JOBS in self.jobs


class KeyFile:
    """The file of an installation's keys. It is read again when it has changed."""

    def __init__(self, settings: Settings) -> None:
        """Use the file that the settings name, or the one in the data folder."""
        self.path = settings.serve.keys_file or settings.data_dir / "serving" / "keys.json"
        self._read: tuple[tuple[int, int, int] | None, tuple[ApiKey, ...]] = None, ()

    def keys(self) -> tuple[ApiKey, ...]:
        """Return the keys on record, none without a file. Raises ``SettingsError`` for a file that is none of keys."""
        stamp = self._stamp()
        if stamp is None:
            self._read = None, ()
        elif stamp != self._read[0]:
            self._read = stamp, self._content()
        return self._read[1]

    def make(self, name: str, jobs: Sequence[str], now: datetime) -> str:
        """Put a new key on record and return it. It cannot be shown again. Raises ``Permanent`` for a name that is taken."""
        keys = self._content() if self.path.exists() else ()
        if name in {key.name for key in keys}:
            raise Permanent(
                f"API key {name}", found="a key of this name", next_step="give another name, or drop that key"
            )
        key = PREFIX + secrets.token_urlsafe(_BYTES)
        self._write((*keys, ApiKey(name, _digest(key), tuple(jobs), now.isoformat(timespec="seconds"))))
        return key

    def drop(self, name: str) -> None:
        """Take a key away. Raises ``Permanent`` when there is none of this name."""
        keys = self._content() if self.path.exists() else ()
        if name not in {key.name for key in keys}:
            raise Permanent(f"API key {name}", found=f"keys {[key.name for key in keys]}", expected="one of these")
        self._write(tuple(key for key in keys if key.name != name))

    def holder(self, key: str) -> ApiKey | None:
        """Return the entry of a key, or None. Every entry is compared, in the same time whatever the key."""
        digest, holder = _digest(key), None
        for entry in self.keys():
            if compare_digest(entry.sha256, digest):
                holder = entry
        return holder

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def _content(self) -> tuple[ApiKey, ...]:
        try:
            entries = json.loads(self.path.read_text(encoding="utf-8"))["keys"]
            return tuple(_entry(entry) for entry in entries)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SettingsError(
                f"file of API keys {self.path}",
                found=f"{type(error).__name__}",
                expected="what `nightshift api-key make` writes, readable by this user",
                next_step="restore it, or remove it and make new keys",
            ) from None

    def _write(self, keys: tuple[ApiKey, ...]) -> None:
        """Replace the file as a whole, for its owner only."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps({"keys": [asdict(key) for key in keys]}, indent=1), encoding="utf-8")
        fresh.replace(self.path)


def _entry(entry: Any) -> ApiKey:
    return ApiKey(str(entry["name"]), str(entry["sha256"]), tuple(map(str, entry["jobs"])), str(entry["made_at"]))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
