"""What a request may use: its bytes, its time, and how often its sender may ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

MIB = 2**20


class Refused(Exception):
    """A request that is answered by a status and a sentence instead of predictions."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        """Refuse with a status of HTTP and what was found and expected."""
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}


async def body_of(stream: AsyncIterator[bytes], length: str | None, limit_mib: int, seconds: float) -> bytes:
    """Return a request's body. Raises ``Refused`` for one that is too large, says so, or takes too long to arrive."""
    limit = limit_mib * MIB
    if length is not None and length.isascii() and length.isdigit() and int(length) > limit:
        raise _too_large(limit_mib)
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for part in stream:
                size += len(part)
                if size > limit:
                    raise _too_large(limit_mib)
                parts.append(part)
    except TimeoutError:
        raise Refused(408, f"found a body that was not sent in {seconds:g} seconds", {"Connection": "close"}) from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit_mib: int) -> Refused:
    return Refused(413, f"found a larger body, expected one of at most {limit_mib} MiB", {"Connection": "close"})


class Rate:
    """How often each sender may ask: a bucket of tokens for each, filled at the rate, with room for two seconds of it."""

    def __init__(self, per_second: float | None) -> None:
        """Let a sender ask so often, or as often as it likes."""
        self._per_second, self._buckets = per_second, dict[str, tuple[float, float]]()

    def take(self, sender: str) -> None:
        """Let a sender ask once. Raises ``Refused`` when it has to wait."""
        if self._per_second is None:
            return
        most = max(2 * self._per_second, 1.0)
        tokens, since = self._buckets.get(sender, (most, monotonic()))
        now = monotonic()
        tokens = min(most, tokens + (now - since) * self._per_second)
        if tokens < 1:
            self._buckets[sender] = tokens, now
            wait = (1 - tokens) / self._per_second
            raise Refused(
                429,
                f"expected at most {self._per_second:g} requests per second",
                {"Retry-After": f"{max(1, round(wait))}"},
            )
        self._buckets[sender] = tokens - 1, now
