"""Times in SQLite, which has no type for them: the form in which they are stored, and values bound in that very form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from scoring.errors import SourceQueryError
from scoring.stores.source.sql_text import NIGHT, Parameter, Statement

SAMPLE = 10_000
"""Values of a compared column that are looked at."""
_STEPS = 5_000_000
"""Instructions of SQLite's machine after which looking ends, about a second: a sample must not read a large table."""
_SEEN = "nightshift_seen"
_SIDES = ("<left", "<right")
_TIME = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})"
    r"(?:(?P<mark>[ T])(?P<clock>\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?)?"
)
_UNITS = ((1e8, 1e11, 1), (1e11, 1e13, 1000))
"""Unix times between 1973 and 5138 in seconds, until 2286 in milliseconds: from, until, parts of a second."""
_JULIAN = (1_721_059.5, 5_373_484.5)
"""Days since noon of 24 November 4714 BC, for the years 0 to 9999."""
_EPOCH_DAY = 2_440_587.5
_ADVICE = "store one form, or compare with a function that gives one: datetime(…) >= :interval_start, date(…) = :night"


@dataclass(frozen=True)
class _Form:
    """How the times of one column are written."""

    kind: str
    """``text``, ``unix`` or ``julian``."""
    mark: str | None = " "
    """Between day and clock, or None for days without a clock."""
    length: int = 19
    """Characters of the shortest: 10 a day, 16 to the minute, 19 to the second. Longer ones compare rightly with it."""
    zone: str | None = None
    parts: int = 1
    """Parts of a second that a unix time counts."""


def as_stored(
    connection: sa.Connection, statement: Statement, values: Mapping[str, Any], zone: str, where: str
) -> tuple[Statement, dict[str, Any]]:
    """Return the statement with a name for each place of a parameter, and what is bound there, as the source stores it.

    What is compared with a parameter is looked at in a sample of ``SAMPLE`` values. A parameter that is compared with
    nothing, or with nothing but nulls, is text as ``datetime()`` and ``date()`` print it. Raises ``SourceQueryError`` when
    the values have several forms, or one that cannot be compared with the parameter.
    """
    pieces = statement.numbered.pieces
    whole = {p.name: values[p.name.rpartition("_")[0]] for p in pieces if isinstance(p, Parameter)}
    plain = {name: _bound(value, _Form("text"), zone, where) for name, value in whole.items()}
    samples = _sampled(connection, pieces, plain)
    _require_alike(samples, where)
    bound = {
        name: _night(value, samples.get(name, []), where)
        if name.startswith(NIGHT)
        else _bound(value, _form(samples.get(name, []), where), zone, where)
        for name, value in whole.items()
    }
    return Statement(pieces), bound


def _sampled(
    connection: sa.Connection, pieces: Sequence[str | Parameter], values: Mapping[str, Any]
) -> dict[str, list[Any]]:
    """Return values that are compared with each parameter, by running the statement with the comparisons taken down."""
    text = "".join(piece if isinstance(piece, str) else f":{piece.name}" for piece in pieces)
    probe = _with_probes(text)
    samples: dict[str, list[Any]] = {}

    def see(name: str, value: Any) -> int:
        sample = samples.setdefault(name, [])
        if value is not None and len(sample) < SAMPLE:
            sample.append(value)
        return 1

    if probe is None:
        return {}
    driver: Any = connection.connection.driver_connection
    driver.create_function(_SEEN, 2, see)
    driver.set_progress_handler(lambda: 1, _STEPS)
    cursor = driver.cursor()
    try:
        cursor.execute(probe, values)
        cursor.fetchmany(SAMPLE)
    except driver.Error:  # it took too long, or does not run: then the statement itself says why
        pass
    finally:
        cursor.close()
        driver.set_progress_handler(None, 0)
    return samples


def _with_probes(text: str) -> str | None:
    """Return the statement with every comparison with a parameter replaced by a call that keeps the other side.

    None if sqlglot cannot parse it.
    """
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError

    comparisons = (exp.GTE, exp.GT, exp.LT, exp.LTE, exp.EQ, exp.NEQ)
    try:
        tree = parse_one(text, dialect="sqlite")
        for parameter in list(tree.find_all(exp.Placeholder)):
            side: exp.Expr = parameter
            while isinstance(side.parent, exp.Paren):
                side = side.parent
            comparison = side.parent
            if isinstance(comparison, comparisons):
                operand = comparison.expression if side is comparison.this else comparison.this
                comparison.replace(_call(parameter.name, operand))
            elif isinstance(comparison, exp.Between) and side is not comparison.this:
                names = [end.name for end in (comparison.args["low"], comparison.args["high"]) if _is_parameter(end)]
                comparison.replace(exp.and_(*(_call(name, comparison.this) for name in names)))
            elif isinstance(within := parameter.find_ancestor(*comparisons, exp.Select), comparisons):
                sides = zip(_SIDES, (within.this, within.expression), strict=True)  # a function of it is compared
                within.replace(exp.and_(*(_call(f"{parameter.name}{name}", compared) for name, compared in sides)))
        return tree.sql("sqlite")
    except SqlglotError:
        return None


def _call(name: str, value: Any) -> Any:
    from sqlglot import exp

    return exp.Anonymous(this=_SEEN, expressions=[exp.Literal.string(name), value.copy()])


def _is_parameter(node: Any) -> bool:
    from sqlglot import exp

    return isinstance(node, exp.Placeholder)


def _require_alike(samples: Mapping[str, list[Any]], where: str) -> None:
    """Raise ``SourceQueryError`` when a function of a parameter is compared with text of another form than its own."""
    for name in [name for name in samples if name.endswith(_SIDES[0])]:
        sides = samples[name], samples.get(name.removesuffix(_SIDES[0]) + _SIDES[1], [])
        times = [value for side in sides for value in side if isinstance(value, str) and _TIME.fullmatch(value)]
        if len(times) == sum(map(len, sides)):
            _form([time for time in times if len(time) > len("2024-01-31")], where)


def _form(values: Iterable[Any], where: str) -> _Form:
    """Return the form of all the values. Raises ``SourceQueryError`` when they have none in common."""
    forms: dict[_Form, Any] = {}
    for value in values:
        forms.setdefault(_form_of(value, where), value)
    shortest = min((form.length for form in forms), default=19)
    alike = {replace(form, length=shortest) for form in forms}
    if len(alike) > 1:
        raise SourceQueryError(
            f"{where}: times compared with the interval",
            found=f"several forms in one column: {', '.join(repr(value) for value in list(forms.values())[:4])}",
            expected="one form, since SQLite compares them as text or numbers",
            next_step=_ADVICE,
        )
    return alike.pop() if alike else _Form("text")


def _form_of(value: Any, where: str) -> _Form:
    if isinstance(value, str) and (match := _TIME.fullmatch(value)):
        if match["clock"] is None:
            return _Form("text", None, 10)
        return _Form("text", match["mark"], 16 if len(match["clock"]) == 5 else 19, match["zone"])
    if isinstance(value, int | float):
        for first, until, parts in _UNITS:
            if first <= abs(value) < until:
                return _Form("unix", parts=parts)
        if isinstance(value, float) and _JULIAN[0] <= value <= _JULIAN[1]:
            return _Form("julian")
    raise SourceQueryError(
        f"{where}: times compared with the interval",
        found=f"values such as {value!r}",
        expected="text such as 2024-01-31 23:00:00 or 2024-01-31T23:00:00Z, unix seconds, or julian days",
        next_step=_ADVICE,
    )


def _bound(value: date | datetime, form: _Form, zone: str, where: str) -> Any:
    """Return a moment in the form of the column it is compared with, and a day as ISO 8601."""
    if not isinstance(value, datetime):
        return value.isoformat()
    if form.kind == "unix":
        return int(value.timestamp()) * form.parts
    if form.kind == "julian":
        return value.timestamp() / 86_400 + _EPOCH_DAY
    local = value.astimezone(_zone(form.zone) if form.zone else ZoneInfo(zone))
    if (form.length == 10 and local.time() != time()) or (form.length == 16 and local.second):
        raise SourceQueryError(
            f"{where}: times compared with the interval",
            found=f"values of {form.length} characters, while an interval begins or ends at {local:%Y-%m-%d %H:%M:%S} {zone}",
            expected="a column that holds moments",
            next_step="restrict calendar days with <date> = :night",
        )
    return f"{local:%Y-%m-%d}{form.mark}{local:%H:%M:%S}"[: form.length] if form.mark else f"{local:%Y-%m-%d}"


def _zone(text: str) -> timezone:
    """Return the zone of ``Z``, ``+05``, ``+0530`` or ``+05:30``."""
    offset = datetime.strptime(text + "00" * (len(text) == 3), "%z").utcoffset()
    return timezone(offset or timedelta(0))


def _night(night: date, values: Sequence[Any], where: str) -> Any:
    """Return the night in the form of the days it is compared with."""
    compact = [str(value) for value in values if re.fullmatch(r"\d{8}", str(value))]
    if values and len(compact) == len(values):
        return type(values[0])(f"{night:%Y%m%d}")
    ends = {value[10:] for value in values if isinstance(value, str) and _TIME.fullmatch(value)}
    odd = [value for value in values if not (isinstance(value, str) and _TIME.fullmatch(value))]
    if odd or len(ends) > 1:
        raise SourceQueryError(
            f"{where}: days compared with :night",
            found=f"values such as {(odd or list(values))[0]!r}",
            expected="calendar days in one form, such as 2024-01-31",
            next_step="compare with date(…) = :night, or a moment with :interval_start and :interval_end",
        )
    return f"{night.isoformat()}{ends.pop() if ends else ''}"
