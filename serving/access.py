"""Who may ask: anybody on this machine while there are no keys, else who sends a key that is for the job."""

from __future__ import annotations

from collections.abc import Mapping
from hmac import compare_digest
from pathlib import Path

from scoring.errors import SettingsError
from scoring.settings import Settings
from serving.keys import ApiKey, KeyFile
from serving.limits import Refused

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NOBODY = "without a key"


class Access:
    """The keys of an installation, and whether one is needed."""

    def __init__(self, settings: Settings, loopback: bool) -> None:
        """Ask for a key unless only this machine can ask, and there are none."""
        self._file, self._loopback, self._settings = KeyFile(settings), loopback, settings

    @property
    def path(self) -> Path:
        """Return the file of the keys."""
        return self._file.path

    @property
    def has_keys(self) -> bool:
        """Return whether there are keys."""
        return bool(self._file.keys())

    @property
    def secured(self) -> bool:
        """Return whether a key is needed."""
        return not self._loopback or self.has_keys

    def sender(self, headers: Mapping[str, str], job: str) -> str:
        """Return the name of who asks. Raises ``Refused`` for who may not ask a job."""
        holder = self._holder(headers)
        if holder is not None and not holder.opens(job):
            raise Refused(403, f"key {holder.name}: found jobs {list(holder.jobs)}, expected {job!r} among them")
        return holder.name if holder is not None else _NOBODY

    def require_any(self, headers: Mapping[str, str]) -> None:
        """Raise ``Refused`` for who has no key at all, nor the token of the metrics."""
        token = self._settings.metrics_token
        if token is None or not compare_digest(_bearer(headers).encode(), token.get_secret_value().encode()):
            self._holder(headers)

    def _holder(self, headers: Mapping[str, str]) -> ApiKey | None:
        try:
            if not self.secured:
                _require_this_machine(headers)
                return None
            holder = self._file.holder(_bearer(headers))
        except SettingsError as error:
            raise Refused(503, str(error)) from None
        if holder is None:
            raise Refused(401, "expected Authorization: Bearer and a key", {"WWW-Authenticate": "Bearer"})
        return holder


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _require_this_machine(headers: Mapping[str, str]) -> None:
    """Refuse what a browser sends on behalf of a page from elsewhere whose name leads to this machine."""
    host = headers.get("host", "")
    name = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
    if name not in LOOPBACK:
        raise Refused(403, f"host: found {host[:80]!r}, expected this machine, {LOOPBACK[0]}, as there are no keys")
