"""What an erasure meets: rows by store, and the texts that only the entity's rows have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from lifecycle.erasure.key import EntityKey
from scoring.job import REASON_COLUMNS


@dataclass(frozen=True)
class Item:
    """What a store holds of the entity: rows, or texts and pages."""

    store: str
    places: int
    """Files, runs or rows that hold them."""
    rows: int


@dataclass
class Inventory:
    """What the stores hold of an entity."""

    key: EntityKey
    rows: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    _own: set[str] = field(default_factory=set, repr=False)
    _shared: set[str] = field(default_factory=set, repr=False)

    @property
    def items(self) -> list[Item]:
        """Return what there is by store, in the order in which it was met."""
        return [Item(store, self.places[store], rows) for store, rows in self.rows.items() if rows]

    @property
    def texts(self) -> set[str]:
        """Return the texts that tell of the entity: of its key, and those that no row beside its rows has."""
        return self.key.texts | self.candidates

    @property
    def candidates(self) -> set[str]:
        """Return the texts that were met in the entity's rows only, and may be somebody else's too."""
        return self._own - self._shared

    def add(self, store: str, rows: int, places: int = 1) -> None:
        """Count what a place of a store holds."""
        self.rows[store] += rows
        self.places[store] += places if rows else 0

    def look(self, batch: pa.RecordBatch | pa.Table) -> int:
        """Return how many rows of a batch are the entity's, and learn their texts."""
        mask = self.key.rows(batch)
        rows = int(pc.sum(mask).as_py() or 0)
        if rows:
            theirs, others = batch.filter(mask), batch.filter(pc.invert(mask))
            for name in self._categories(batch.schema):
                levels = pc.unique(theirs.column(name)).drop_null()
                shared = pc.is_in(levels, value_set=pc.unique(others.column(name)))
                self._own |= set(levels.filter(pc.invert(shared)).to_pylist())
                self._shared |= set(levels.filter(shared).to_pylist())
        return rows

    def compare(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Learn which of the candidates other rows have too."""
        others = batch.filter(pc.invert(self.key.rows(batch))) if self.key.in_columns(batch.schema.names) else batch
        for name in self._categories(batch.schema) if self.candidates else ():
            levels = pc.unique(others.column(name))
            wanted = pa.array(sorted(self.candidates), levels.type)
            self._shared |= set(wanted.filter(pc.is_in(wanted, value_set=levels)).to_pylist())

    def share(self, texts: Iterable[str]) -> None:
        """Learn that texts are other rows' too."""
        self._shared |= set(texts)

    def _categories(self, schema: pa.Schema) -> Iterator[str]:
        """Yield the columns with text that the model learns from, none of a table of reasons."""
        for name, feature in self.key.job.features.items():
            if feature.type == "category" and name in schema.names and not set(REASON_COLUMNS) <= set(schema.names):
                yield name
