"""What the rows of a night are counted by: accepted and quarantined ones, reasons, and the hash of the accepted."""

from __future__ import annotations

from collections import Counter
from typing import Any, Self

from scoring.rows import RowsDigest, Split


class Counts:
    """Adds up what the chunks of one extract held."""

    def __init__(self, keys: int) -> None:
        """Begin with no rows. ``keys`` is how many columns the key has."""
        self._keys = keys
        self.rows = self.accepted = self.chunks = 0
        self.reasons: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.digest = RowsDigest()

    def add(self, rows: int, part: Split) -> None:
        """Add one chunk of so many rows, split by the contract."""
        self.rows += rows
        self.accepted += part.accepted.num_rows
        self.chunks += 1
        self.reasons.update(part.reasons)
        self.unknown.update(part.unknown)
        self.digest.add(part.accepted, (part.accepted_hashes, self._keys))

    def merge(self, other: Counts) -> None:
        """Add the chunks of other counts."""
        self.rows += other.rows
        self.accepted += other.accepted
        self.chunks += other.chunks
        self.reasons.update(other.reasons)
        self.unknown.update(other.unknown)
        self.digest.merge(other.digest)

    def facts(self) -> dict[str, Any]:
        """Return the columns of the ledger that say it."""
        return {
            "chunks": self.chunks,
            "rows_extracted": self.rows,
            "rows_quarantined": self.rows - self.accepted,
            "quarantine_reasons": dict(self.reasons),
            "unknown_categories": dict(self.unknown),
            "snapshot_hash": self.digest.hexdigest(),
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return {
            "rows": self.rows,
            "accepted": self.accepted,
            "chunks": self.chunks,
            "reasons": dict(self.reasons),
            "unknown": dict(self.unknown),
            "digest": self.digest.as_dict(),
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Return the counts whose JSON values these are."""
        counts = cls(0)
        counts.rows, counts.accepted, counts.chunks = content["rows"], content["accepted"], content["chunks"]
        counts.reasons, counts.unknown = Counter(content["reasons"]), Counter(content["unknown"])
        counts.digest = RowsDigest.from_dict(content["digest"])
        return counts
