"""What the name of a column says of it: an id, a part of the calendar, a person, the outcome."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import pairwise

_ID_TEXT = "id ids key code nr uuid guid hash token zip plz postcode postal ref reference sku isbn ean serial barcode"
_ID = frozenset(_ID_TEXT.split())
_CALENDAR = {
    "month": (1, 12),
    "mon": (1, 12),
    "day": (0, 31),
    "weekday": (0, 7),
    "dow": (0, 7),
    "dayofweek": (0, 7),
    "dayofyear": (1, 366),
    "week": (0, 53),
    "quarter": (1, 4),
    "season": (0, 4),
    "hour": (0, 24),
    "minute": (0, 59),
    "holiday": (0, 1),
    "weekend": (0, 1),
}
"""Parts of the calendar, and the numbers between which their values lie."""
_COMES_BACK = {"month": 365, "mon": 365, "quarter": 365, "season": 365, "week": 365, "dayofyear": 730, "day": 730}
"""Days after which a value comes back, for the parts of the calendar that are the same all night. The day of the month, with
others, names a single night: on flights it took the error of a regression from 26.9 to 39.9 minutes."""
_NAMES_OF_TIMES_TEXT = (
    "jan feb mar apr may jun jul aug sep oct nov dec january february march april june july august september october "
    "november december mon tue wed thu fri sat sun monday tuesday wednesday thursday friday saturday sunday winter spring "
    "summer autumn fall"
)
_NAMES_OF_TIMES = frozenset(_NAMES_OF_TIMES_TEXT.split())
_PERSONAL_TEXT = (
    "email mail phone telephone tel mobile cell fax iban ssn passport birthdate birthday dob surname lastname firstname "
    "fullname forename nickname street address login"
)
_PERSONAL = frozenset(_PERSONAL_TEXT.split())
_PERSONAL_PAIRS = frozenset(
    {
        *(("first", "name"), ("last", "name"), ("full", "name"), ("given", "name"), ("family", "name")),
        *(("user", "name"), ("customer", "name"), ("client", "name"), ("contact", "name"), ("person", "name")),
        *(("credit", "card"), ("card", "number"), ("date", "birth"), ("birth", "date"), ("ip", "address")),
    }
)
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.\w+")
_PHONE = re.compile(r"(?=(?:.*\d){7})(?:\+|00|\(?0)[\d\s()/.-]{7,}|\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}")


def words_of_name(name: str) -> list[str]:
    """Return the words that a name is made of, in small letters.

    >>> words_of_name("CustomerID"), words_of_name("Total Charges (€)"), words_of_name("dayOfWeek")
    (['customer', 'id'], ['total', 'charges'], ['day', 'of', 'week'])
    """
    parted = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return [word.lower() for word in re.findall(r"[^\W_]+", parted)]


def names_an_id(name: str) -> bool:
    """Return whether a column's name says that its values name something."""
    return bool(_ID & {*words_of_name(name)})


def names_the_year(name: str) -> bool:
    """Return whether a column is the year by its name."""
    return words_of_name(name)[-1:] in (["year"], ["yr"])


def comes_back_after(name: str) -> int | None:
    """Return the days after which a value of the part of the calendar comes back that a column is called by, or None.

    >>> comes_back_after("order_month"), comes_back_after("weekday")
    (365, None)
    """
    return _COMES_BACK.get(_part_of_calendar(name) or "")


def _part_of_calendar(name: str) -> str | None:
    words = words_of_name(name)
    parts = ("".join(words[-3:]), *words[-1:])
    return next((part for part in parts if part in _CALENDAR), None)


def calendar_range(name: str) -> tuple[int, int] | None:
    """Return the numbers between which a part of the calendar lies that a column is called by, or None.

    >>> calendar_range("order_month"), calendar_range("day_of_week"), calendar_range("days_open")
    ((1, 12), (0, 7), None)
    """
    part = _part_of_calendar(name)
    return None if part is None else _CALENDAR[part]


def are_times(levels: Collection[str]) -> bool:
    """Return whether all levels are names of months, weekdays or seasons."""
    return bool(levels) and {level.strip().lower() for level in levels} <= _NAMES_OF_TIMES


def looks_personal(name: str, values: Collection[str]) -> str | None:
    """Return why a column seems to tell who somebody is, or None. ``values`` are texts out of it.

    >>> looks_personal("contact", ["ann@example.org"]), looks_personal("product_name", ["Tea"])
    ('values like mail addresses', None)
    """
    words = words_of_name(name)
    pairs = {*pairwise(words)}
    if words == ["name"] or _PERSONAL & {*words} or _PERSONAL_PAIRS & pairs:
        return "its name"
    if words and words[-1] == "name" and {*words} & {"user", "customer", "client", "contact", "employee", "patient"}:
        return "its name"
    for pattern, what in ((_MAIL, "mail addresses"), (_PHONE, "phone numbers")):
        if values and sum(pattern.fullmatch(value.strip()) is not None for value in values) * 2 > len(values):
            return f"values like {what}"
    return None


def holds_name(name: str, label: str) -> bool:
    """Return whether a column's name holds the whole name of the label.

    >>> holds_name("churn_reason", "churn"), holds_name("dep_delay", "arr_delay")
    (True, False)
    """
    return bool(words_of_name(label)) and {*words_of_name(label)} <= {*words_of_name(name)}
