"""The key of an entity: values of one or several key columns, by which its rows are told from all others."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from scoring.errors import Permanent
from scoring.job import Job
from scoring.rows import ARROW_TYPES, read_as

_SALT = 16
"""Bytes of salt in a check."""
_COST = 2**14
"""scrypt's cost: about 50 ms and 16 MB for each guess at a key."""


@dataclass(frozen=True)
class EntityKey:
    """Values of some of a job's key columns. Rows that have all of them are the entity's. No value is in its repr."""

    job: Job = field(repr=False)
    values: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, job: Job, texts: Mapping[str, str]) -> EntityKey:
        """Return the key that texts give. Raises ``Permanent`` for a column that is no key, and a text that cannot be read."""
        strange = [name for name in texts if name not in job.key]
        if strange or not texts:
            raise Permanent(
                f"key of an entity of {job.name}",
                found=f"columns {strange}" if strange else "no column",
                expected=f"one or several of {list(job.key)}",
                next_step="give --key COLUMN=VALUE",
            )
        return cls(job, {name: _read(job, name, text) for name, text in texts.items()})

    def rows(self, batch: pa.RecordBatch | pa.Table) -> pa.Array | pa.ChunkedArray:
        """Return which rows are the entity's. Of a quarantine, whose values are text, they are read as the job reads them."""
        masks = [self._has(batch.column(name), name) for name in self.values]
        return reduce(pc.and_, masks)

    def in_columns(self, names: list[str]) -> bool:
        """Return whether a file with these columns can hold rows of the entity."""
        return set(self.values) <= set(names)

    def _has(self, column: pa.Array | pa.ChunkedArray, name: str) -> pa.Array:
        whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        kind = ARROW_TYPES[self.job.key[name]]
        read = whole if whole.type == kind else read_as(whole, kind, name, self.job.source_timezone)[0]
        return pc.fill_null(pc.equal(read, pa.scalar(self.values[name], kind)), False)

    @property
    def texts(self) -> set[str]:
        """Return the values that are text, which may stand in sentences and pages too."""
        return {value for value in self.values.values() if isinstance(value, str) and value.strip()}

    def stands_in(self, sentence: str) -> bool:
        """Return whether a value, number or text, is a word of a sentence."""
        words = (str(value).strip() for value in self.values.values())
        return any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", sentence, re.IGNORECASE) for word in words if word)

    def check(self) -> str:
        """Return what the key can be recognised by, with a salt of its own."""
        salt = os.urandom(_SALT)
        return f"{salt.hex()}:{self._digest(salt)}"

    def fits(self, check: str | None) -> bool:
        """Return whether a check was made of this key."""
        salt, _, digest = (check or "").partition(":")
        return bool(digest) and hmac.compare_digest(self._digest(bytes.fromhex(salt)), digest)

    def _digest(self, salt: bytes) -> str:
        content = json.dumps({name: str(value) for name, value in self.values.items()}, sort_keys=True)
        return hashlib.scrypt(content.encode(), salt=salt, n=_COST, r=8, p=1).hex()


def _read(job: Job, name: str, text: str) -> Any:
    kind = job.key[name]
    value = read_as(pa.array([text]), ARROW_TYPES[kind], name, job.source_timezone)[0][0].as_py()
    if value is None:
        raise Permanent(f"key column {name} of {job.name}", found="a value that is none", expected=f"type {kind}")
    return value
