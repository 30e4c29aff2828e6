"""Converts times without a zone, as a clock on the wall shows them, to moments in UTC."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

_FIRST, _LAST = datetime(1, 1, 3), datetime(9999, 12, 29)  # noqa: DTZ001 - a margin, so that no zone leads out of the calendar


def moments(local: pa.Array, zone: str) -> pa.Array:
    """Return the moments in UTC at which a clock in ``zone`` shows the times of a timestamp column without a zone.

    As in PostgreSQL: for an hour that comes twice it is the later moment, and for an hour that a change of the clocks leaves
    out the clock before the change goes on. Never raises: times outside the years 1 to 9999 become null.

    >>> twice, never = datetime(2013, 11, 3, 1, 30), datetime(2013, 3, 10, 2, 30)
    >>> [str(moment) for moment in moments(pa.array([twice, never]), "America/New_York").to_pylist()]
    ['2013-11-03 06:30:00+00:00', '2013-03-10 07:30:00+00:00']
    """
    if zone == "UTC":
        return pc.assume_timezone(local, "UTC")
    if local.type.unit != "ns":  # which ends in the year 2262
        first, last = (pa.scalar(end, local.type) for end in (_FIRST, _LAST))
        inside = pc.and_(pc.greater_equal(local, first), pc.less_equal(local, last))
        local = pc.if_else(inside, local, pa.scalar(None, local.type))
    # a time that was left out becomes, for a moment, the last one before the clocks changed
    at = pc.assume_timezone(local, zone, ambiguous="latest", nonexistent="earliest")
    left_out = pc.subtract(local, pc.local_timestamp(at))  # nothing, for times that exist
    return pc.cast(pc.add(at, left_out), pa.timestamp(local.type.unit, "UTC"))
