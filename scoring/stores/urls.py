"""Reads database URLs as people write them, in one way for every driver. Messages about them never show the URL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

import sqlalchemy as sa

from scoring.errors import SettingsError
from scoring.secrets import SECRETS, secrets_of

_EXPECTED = "a database URL such as postgresql://user:password@host:5432/name"
_ENCODE = "write @ : / ? # % in the password as %40 %3A %2F %3F %23 %25"
_POSTGRESQL = re.compile(r"(postgres|postgresql|pgsql)(\+\w+)?", re.IGNORECASE)
_PARTS = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*)://(?P<rest>.*)", re.DOTALL)
_FILES = {"sqlite": "folder/file.db", "duckdb": "folder/file.duckdb"}
"""Example of a path, by database that lies in a file and so has no host."""
_USER = re.compile(r"(?P<user>[^:/?#@]*)(?::(?P<password>.*))?", re.DOTALL)


def database_url(text: str, where: str) -> sa.URL:
    """Return the URL in ``text``. ``where`` names the variable or file that the text comes from.

    ``postgres://`` is PostgreSQL, whose driver is psycopg; a password may be encoded or not as long as that is clear. Raises
    ``SettingsError`` that says what is wrong and never repeats the text.

    >>> database_url("postgres://u:p@ss@h/d?options=-c search_path=shop", "X").password
    'p@ss'
    """
    SECRETS.add(secrets_of(text))
    text = text.strip()
    for problem, next_step in _problems(text):
        raise SettingsError(where, found=problem, expected=_EXPECTED, next_step=next_step)
    parts = _PARTS.fullmatch(text)
    scheme, rest = (parts["scheme"], parts["rest"]) if parts else ("", "")
    if _POSTGRESQL.fullmatch(scheme):
        scheme = "postgresql+psycopg"
        rest = re.sub(r"(?<=[?&])\w*password=[^&]*", lambda match: match.group().replace("+", "%2B"), rest)
    if scheme.lower() == "duckdb":  # the keys of an object store have + in them
        rest = rest.replace("+", "%2B")
    try:
        url = sa.make_url(f"{scheme.lower()}://{_encoded(rest)}")
    except (sa.exc.ArgumentError, ValueError):
        raise SettingsError(where, found="a malformed URL", expected=_EXPECTED, next_step=_ENCODE) from None
    backend = url.get_backend_name()
    if backend in _FILES and url.host:
        raise SettingsError(
            where, found=f"{backend}:// and a name", expected=f"{backend}:///{_FILES[backend]}, or four / and a path"
        )
    if url.host and "@" in url.host:
        raise SettingsError(where, found="a host with an @ in it", expected=_EXPECTED, next_step=_ENCODE)
    return url


def _problems(text: str) -> Iterator[tuple[str, str]]:
    """Yield problem and next step for a text that is no URL of a database."""
    if not text:
        yield "nothing", "set it to the URL of the database"
    if text[0] in "'\"`" or (text[-1] in "'\"`" and "://" in text):
        yield "a URL in quotes", "take the quotes away"
    if text.lower().startswith("jdbc:"):
        yield "a JDBC URL", "leave out jdbc: and write user and password before the host"
    if "://" not in text and re.search(r"\b(driver|server|data source)\s*=", text, re.IGNORECASE):
        yield (
            "an ODBC connection string",
            "write it as a URL, for example mssql+pyodbc://user:password@host/name?driver=…",
        )
    if "://" not in text and re.search(r"\b(host|hostaddr|dbname|service|user|port|password)\s*=", text, re.IGNORECASE):
        yield "a libpq connection string (host=… dbname=…)", "write it as postgresql://user:password@host:port/dbname"
    if "://" not in text:
        yield "text without a scheme such as postgresql://", "write the kind of database before it"
    if text.lower().startswith(("http://", "https://", "ftp://", "file://")):
        yield f"an address that begins with {text.partition('://')[0].lower()}://", "give the URL of the database"
    if not _PARTS.fullmatch(text):
        yield "a scheme that is none", "write the kind of database before ://, for example postgresql"


def _encoded(rest: str) -> str:
    """Return the part of a URL after the scheme with user and password encoded. These end at the last @ before the path."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    ends = authority if "@" in authority else rest.partition("?")[0] if ":" in authority else authority
    before, mark, _ = ends.rpartition("@")
    user = _USER.fullmatch(before)
    if not mark or user is None:
        return rest
    password = "" if user["password"] is None else f":{quote(unquote(user['password']), safe='')}"
    return f"{quote(unquote(user['user']), safe='')}{password}@{rest[len(before) + 1 :]}"


def written(url: sa.URL) -> str:
    """Return the URL as text that every driver reads alike: percent-encoded, a space as %20 and never as +."""
    login = "" if url.username is None else quote(url.username, safe="")
    if url.password is not None:
        login += f":{quote(str(url.password), safe='')}"
    host = f"[{url.host}]" if url.host and ":" in url.host else url.host or ""
    port = "" if url.port is None else f":{url.port}"
    path = "" if url.database is None else f"/{quote(url.database, safe='/:')}"
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in _options(url))
    at = "@" if url.username is not None else ""
    return f"{url.drivername}://{login}{at}{host}{port}{path}{'?' if query else ''}{query}"


def _options(url: sa.URL) -> Iterator[tuple[str, str]]:
    for name in sorted(url.query):
        value = url.query[name]
        yield from ((name, each) for each in ([value] if isinstance(value, str) else value))


def libpq_url(url: str) -> str:
    """Return a PostgreSQL URL without its driver, as libpq reads it.

    >>> libpq_url("postgresql+psycopg://postgres@/warehouse?host=/run/x")
    'postgresql://postgres@/warehouse?host=%2Frun%2Fx'
    """
    return written(database_url(url, "database URL").set(drivername="postgresql"))


def with_options(url: sa.URL, options: str) -> sa.URL:
    """Return a PostgreSQL URL with more session settings after those that it has."""
    own = url.query.get("options", ())
    return url.update_query_dict({"options": " ".join([*([own] if isinstance(own, str) else own), options])})
