"""The band of a version: what intervals around its predicted values are made of."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from scoring.rows import Band
from scoring.stores.registry.files import readable
from scoring.stores.registry.version import BAND_FILE, REFERENCE_FILE
from scoring.stores.registry.version_files import VersionFiles

_NEEDED = ("prediction", "outcome")


def band_of(files: VersionFiles) -> Band | None:
    """Return how far outcomes lay from what fits without their nights predicted, or None where too few rows say it.

    A version of before has the sample of its training rows, with such a prediction and the outcome of each. Raises
    ``ArtifactMismatch``.
    """
    if files.has(BAND_FILE):
        content = files.json(BAND_FILE)
        with readable(files.folder / BAND_FILE, files.what):
            return Band.from_dict(content) if content else None
    if not files.has(REFERENCE_FILE):
        return None
    sample = files.table(REFERENCE_FILE)
    if any(name not in sample.column_names or not _is_number(sample.schema.field(name).type) for name in _NEEDED):
        return None
    predicted, outcome = (np.asarray(sample.column(name).to_numpy(), dtype=np.float64) for name in _NEEDED)
    return Band.of(predicted, outcome)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind))
