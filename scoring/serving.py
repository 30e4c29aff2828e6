"""``ServingPolicy``: what `nightshift serve` may use, and how often it looks for what changed."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from scoring.validation import Strict


class ServingPolicy(Strict):
    """Limits of `nightshift serve`, for each of its processes."""

    keys_file: Path | None = None
    """File of the API keys' hashes, unset for ``serving/keys.json`` in the data folder. `nightshift api-key` writes it."""
    poll_seconds: float = Field(default=2.0, gt=0, le=3600)
    """Seconds between two looks at which versions are champions; so long a promotion may wait, and the time to load it."""
    body_mib: int = Field(default=16, ge=1, le=1024)
    """Largest body of a request in MiB; a larger one is answered by 413."""
    request_seconds: float = Field(default=30.0, gt=0, le=3600)
    """Seconds within which a request must have been sent (408) and answered (503)."""
    requests_per_second: float | None = Field(default=None, gt=0)
    """Requests that a key may send each second, twice as many at once; more are answered by 429. Unset: no limit."""
    concurrent_requests: int = Field(default=200, ge=1)
    """Connections at a time; more are answered by 503."""
    stop_seconds: int = Field(default=30, ge=1, le=3600)
    """Seconds that running requests have to end after a SIGTERM."""
    flush_seconds: float = Field(default=1.0, gt=0, le=3600)
    """Seconds between two loads of the journal of answered requests into the warehouse."""
    journal_mib: int = Field(default=512, ge=1)
    """Size of the journal of a job up to which answers are recorded while the warehouse is away. Beyond it they are answered,
    counted as lost, and not recorded."""
