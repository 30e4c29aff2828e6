"""Finds the parameters in a job's SQL with a tokenizer of the source's dialect, so that text and comments stay."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scoring.errors import SourceQueryError

INTERVAL = frozenset({"interval_start", "interval_end"})
NIGHT = "night"
PARAMETERS = INTERVAL | {NIGHT}
_ALLOWED = (INTERVAL, frozenset({NIGHT}), PARAMETERS)
_DIALECTS = {"postgresql": "postgres", "mariadb": "mysql", "mssql": "tsql", "awsathena": "athena"}
"""sqlglot's name of a dialect, by SQLAlchemy's name, where the two differ."""
_NAME = re.compile(r"\w+")
_ROOT = "{root}"
_QUOTES = {"STRING": "'", "IDENTIFIER": '"'}
"""Quote around a token, by its kind."""
_OPERANDS = ("STRING", "NATIONAL_STRING", "NUMBER", "IDENTIFIER", "R_PAREN", "R_BRACKET", "BACKSLASH")
"""Tokens that a parameter cannot follow: a colon behind one belongs to a slice, a path or a JSON member."""


@dataclass(frozen=True)
class Parameter:
    """A place in a statement where a value is bound."""

    name: str


@dataclass(frozen=True)
class Statement:
    """One statement, cut at its parameters. Its pieces joined are the text without a closing semicolon.

    A backslash before a colon outside of text, which SQLAlchemy needs and SQL does not know, is left out as well.
    """

    pieces: tuple[str | Parameter, ...]

    @property
    def names(self) -> frozenset[str]:
        """Return the names of the parameters."""
        return frozenset(piece.name for piece in self.pieces if isinstance(piece, Parameter))

    @property
    def numbered(self) -> Statement:
        """Return the statement with a name for each place of a parameter: its own, ``_`` and a number."""
        places = enumerate(self.pieces)
        return Statement(tuple(p if isinstance(p, str) else Parameter(f"{p.name}_{number}") for number, p in places))

    @property
    def cast(self) -> frozenset[str]:
        """Return the names of the parameters that are cast where they stand."""
        around = zip(("", *self.pieces), self.pieces, (*self.pieces[1:], ""), strict=False)
        return frozenset(p.name for before, p, after in around if isinstance(p, Parameter) and _is_cast(before, after))

    def filled(self, texts: Mapping[str, str]) -> Statement:
        """Return the statement with a text in place of each parameter."""
        return Statement(tuple(piece if isinstance(piece, str) else texts[piece.name] for piece in self.pieces))

    @property
    def by_night(self) -> bool:
        """Return whether the statement binds the calendar day, so that it gives one night at a time."""
        return NIGHT in self.names

    def require_parameters(self, where: str, *, snapshot: bool = False) -> None:
        """Raise ``SourceQueryError`` for other parameters than a job's kind allows.

        Events: both ends of the interval, or the night, or all three. A snapshot: the night, and what else is wanted.
        """
        if snapshot and not (self.by_night and self.names <= PARAMETERS):
            raise SourceQueryError(
                f"{where}: parameters",
                found=str(sorted(self.names)),
                expected=":night, and no others than :interval_end and :interval_start beside it",
                next_step="give the state of every entity at the end of the calendar day :night, for example with "
                "<date> = :night, or <time> < :interval_end beside it; `kind: events` is for rows that happened in the night",
            )
        if not snapshot and self.names not in _ALLOWED:
            raise SourceQueryError(
                f"{where}: parameters",
                found=str(sorted(self.names)),
                expected=":interval_start and :interval_end, or :night, or all three, and no others",
                next_step="restrict the rows with <time> >= :interval_start and <time> < :interval_end, "
                "or with <date> = :night where the source has a calendar day only",
            )


def _is_cast(before: str | Parameter, after: str | Parameter) -> bool:
    return str(after).lstrip().startswith("::") or re.search(r"\bcast\s*\(\s*$", str(before), re.IGNORECASE) is not None


def statement_of(text: str, database: str, where: str) -> Statement:
    """Return the statement that ``text`` is in the SQL of ``database`` (SQLAlchemy's name of it).

    Raises ``SourceQueryError`` for text that ends in the middle of a string or comment, and for none or several statements.

    >>> statement_of("select ':noon' where x >= :night::date -- :later", "postgresql", "x.sql").pieces
    ("select ':noon' where x >= ", Parameter(name='night'), '::date -- :later')
    """
    tokens = _tokens(text, database, where)
    semicolons = [token for token in tokens if token.token_type.name == "SEMICOLON"]
    words = [token for token in tokens if token.token_type.name != "SEMICOLON"]
    if not words or any(semicolon.start < words[-1].start for semicolon in semicolons):
        problem = "several statements" if words else "no statement"
        raise SourceQueryError(where, found=problem, expected="one select", next_step=f"leave one statement in {where}")
    pieces: list[str | Parameter] = []
    position = 0
    escapes = [token for token in words if token.token_type.name == "BACKSLASH" and text[token.end + 1 :][:1] == ":"]
    marks = [(token.start, token.end + 1, "") for token in [*semicolons, *escapes]]
    for start, end, name in sorted([*marks, *_parameters(text, words)]):
        pieces += [text[position:start], Parameter(name)] if name else [text[position:start]]
        position = end
    return Statement(tuple(piece for piece in [*pieces, text[position:]] if piece))


def with_root(text: str, root: str | None, where: str) -> str:
    """Return DuckDB's SQL with ``root`` for ``{root}``, in text and quoted names only. Other braces and comments stay.

    A quote in ``root`` is doubled where it stands. Raises ``SourceQueryError`` for ``{root}`` elsewhere, and without a root.

    >>> with_root("from read_csv('{root}/{a}.csv') -- {root}", "/it's", "x.sql")
    "from read_csv('/it''s/{a}.csv') -- {root}"
    """
    pieces, position = [], 0
    tokens = _tokens(text, "duckdb", where)
    for number, token in enumerate(tokens):
        written = text[token.start : token.end + 1]
        bare = token.token_type.name == "L_BRACE" and "".join(t.text for t in tokens[number : number + 3]) == _ROOT
        if _ROOT not in written and not bare:
            continue
        quote = _QUOTES.get(token.token_type.name)
        if quote is None or root is None:
            raise _no_root(where, "no root" if quote else f"{_ROOT} outside of text in single quotes")
        pieces += [text[position : token.start], written.replace(_ROOT, root.replace(quote, 2 * quote))]
        position = token.end + 1
    return "".join([*pieces, text[position:]])


def _no_root(where: str, problem: str) -> SourceQueryError:
    return SourceQueryError(
        f"{where}: {_ROOT}",
        found=problem,
        expected=f"'{_ROOT}/…' in single quotes, and a root in the source's URL",
        next_step="write the root into the setting of the source: duckdb:///:memory:?root=/data/lake",
    )


def _tokens(text: str, database: str, where: str) -> list[Any]:
    from sqlglot.dialects.dialect import Dialect, Dialects  # a third of a second, which only a read of a source needs
    from sqlglot.errors import TokenError

    name = _DIALECTS.get(database, database)
    dialect_name = name if name in {dialect.value for dialect in Dialects} else ""
    try:
        return list(Dialect.get_or_raise(dialect_name).tokenize(text))
    except TokenError:
        raise SourceQueryError(
            where,
            found="text that ends within a string, a quoted name or a comment",
            expected=f"one complete statement in the SQL of {database}",
            next_step=f"close the last quote or comment in {where}",
        ) from None


def _parameters(text: str, tokens: list[Any]) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and name of each parameter: a colon with a name right behind it, where a value may stand."""
    brackets: list[str] = []
    for number, token in enumerate(tokens):
        kind = token.token_type.name
        if kind in ("L_PAREN", "L_BRACKET", "L_BRACE"):
            brackets.append(kind)
        elif kind in ("R_PAREN", "R_BRACKET", "R_BRACE") and brackets:
            brackets.pop()
        name = _NAME.match(text, token.end + 1) if kind == "COLON" else None
        if name and _may_be_value(tokens[number - 1] if number else None, token, brackets, name.group()):
            yield token.start, name.end(), name.group()


def _may_be_value(before: Any, colon: Any, brackets: list[str], name: str) -> bool:
    """Return whether a value may stand at a colon: not in ``a[1:n]``, ``a[:n]``, ``path:member`` or ``{'key':value}``."""
    if before is None:
        return True
    kind, within = before.token_type.name, brackets[-1] if brackets else ""
    if kind.endswith("_STRING") or kind in _OPERANDS:
        return False
    if kind == "L_BRACKET" and not name.isdigit():
        return name in PARAMETERS
    if kind == "VAR":  # such as `zone :tz`, a keyword that sqlglot has no token for
        return within not in ("L_BRACKET", "L_BRACE") and bool(before.end + 1 < colon.start)
    return bool(kind != "L_BRACKET")
