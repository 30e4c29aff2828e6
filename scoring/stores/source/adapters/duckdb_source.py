"""``DuckdbSource``: what the URL of a source says that DuckDB reads. It opens the connection with its settings locked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from scoring.errors import SettingsError
from scoring.settings import HOME
from scoring.stores.lake_problems import missing_library

if TYPE_CHECKING:
    import duckdb

_MEMORY = ":memory:"
_EXPECTED = "duckdb:///:memory:?root=/data/lake, or duckdb:///folder/file.duckdb"
_STORE = {"s3_access_key_id": "key", "s3_secret_access_key": "secret", "s3_session_token": "token"}
"""Name in s3fs of an option of the URL."""
_OPTIONS = (
    "root",
    "memory_limit",
    "threads",
    "extensions",
    "extension_directory",
    "s3_region",
    "s3_endpoint",
    *_STORE,
)
_FIXED = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
}
"""Settings of every connection: nothing is downloaded, no secret comes from a home folder, no Python variable is a table."""


@dataclass(frozen=True)
class DuckdbSource:
    """A DuckDB file, or none, and the folder or object store that its SQL reads files from."""

    where: str
    """The setting that holds the URL, for messages."""
    file: Path | None
    root: str | None
    store: Mapping[str, Any] = field(repr=False)
    """Arguments of the object store's file system. They hold its keys."""
    memory_limit: str
    """Memory of DuckDB before it writes to disk, 1GB unless the URL says otherwise. Raising it sorts larger nights at once."""
    threads: int
    """Threads of DuckDB, 2 unless the URL says otherwise, like the threads that score."""
    extensions: tuple[str, ...]
    """Extensions that are loaded. They are installed already."""
    extension_directory: str | None

    @contextmanager
    def opened(self, spill: str, timezone: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection that writes nothing but ``spill``, reads below the root only, and whose settings are locked.

        Times without a zone are in ``timezone``. Raises ``SettingsError`` for what the URL asks for and cannot have.
        """
        import duckdb

        own = {"memory_limit": self.memory_limit, "threads": str(self.threads), "temp_directory": spill}
        own |= {"extension_directory": self.extension_directory} if self.extension_directory else {}
        try:
            connection = duckdb.connect(_MEMORY, config={**_FIXED, **own})
        except duckdb.Error as error:
            raise self._refused(str(error), "see the options in docs/reference/settings.md") from None
        with connection:
            self._prepare(connection)
            connection.execute(f"set timezone = {literal(timezone)}")
            if self.root is not None:
                connection.execute(f"set allowed_directories = [{literal(self.root)}]")
                connection.execute("set enable_external_access = false")
            connection.execute("set lock_configuration = true")
            yield connection

    def _prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Load the extensions, and give the connection its object store and its file."""
        for name in self.extensions:
            self._load(connection, name)
        if self.root is not None and "://" in self.root:
            connection.register_filesystem(self._file_system(self.root.partition(":")[0]))
        if self.file is not None:
            connection.execute(f"attach {literal(str(self.file))} as source (read_only)")
            connection.execute("use source")

    def _load(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        import duckdb

        try:
            connection.load_extension(name)
        except duckdb.Error as error:
            step = (
                f"install it where nights run, as the user that runs them: duckdb.connect().install_extension({name!r})"
            )
            raise self._refused(f"no extension {name} ({' '.join(str(error).split())})", step) from None

    def _file_system(self, scheme: str) -> Any:
        """Return the object store's file system. It keeps no listing, in which files that came later would be missing."""
        import fsspec

        try:
            return fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False, **self.store)
        except ImportError as error:
            raise missing_library(self.where, scheme, str(error)) from None
        except ValueError as error:
            raise self._refused(str(error), "use s3://, gs:// or abfs://, or a folder") from None

    def _refused(self, problem: str, next_step: str) -> SettingsError:
        return SettingsError(self.where, found=problem, expected=_EXPECTED, next_step=next_step)


def source_of(url: sa.URL, where: str) -> DuckdbSource:
    """Return the source that a URL beginning with ``duckdb:`` names. Paths are relative to the project's folder.

    Raises ``SettingsError`` for an option that there is none of, and for a file or a folder that is not there.
    """
    options = {name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()}
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise _malformed(where, f"options {unknown}", f"some of {', '.join(_OPTIONS)}")
    threads = options.get("threads", "2")
    if not re.fullmatch(r"[1-9]\d{0,3}", threads):
        raise _malformed(where, f"threads={threads}", "a number such as 2")
    extensions = tuple(name for name in options.get("extensions", "").split(",") if name)
    if odd := [name for name in extensions if not re.fullmatch(r"\w+", name)]:
        raise _malformed(where, f"extensions {odd}", "names with commas between them, such as iceberg,avro")
    root = _root(options.get("root"), where)
    return DuckdbSource(
        where,
        _file(url.database, where),
        root,
        _store(options, root, where),
        options.get("memory_limit", "1GB"),
        int(threads),
        extensions,
        options.get("extension_directory"),
    )


def _file(name: str | None, where: str) -> Path | None:
    if name == _MEMORY:
        return None
    path = HOME / (name or "")
    if not name or not path.is_file():
        raise _malformed(where, f"no file {str(path)!r}" if name else "no file", f"a DuckDB database: {_EXPECTED}")
    return path


def _root(text: str | None, where: str) -> str | None:
    """Return the root without a slash at its end, so that ``{root}/orders`` is a path below it."""
    if not text:
        return None
    if "://" in text:
        return text.rstrip("/")
    folder = HOME / text.removeprefix("file:")
    if not folder.is_dir():
        raise _malformed(where, f"no folder {str(folder)!r}", "root=/data/lake, a folder, or root=s3://bucket/lake")
    return str(folder)


def _store(options: Mapping[str, str], root: str | None, where: str) -> dict[str, Any]:
    given = {name: value for name, value in options.items() if name.startswith("s3_")}
    if not given:
        return {}
    if not (root or "").startswith("s3://"):
        raise _malformed(where, f"options {sorted(given)} and a root elsewhere", "them with root=s3://bucket/lake only")
    store: dict[str, Any] = {_STORE[name]: value for name, value in given.items() if name in _STORE}
    if endpoint := given.get("s3_endpoint"):
        store["endpoint_url"] = endpoint if "://" in endpoint else f"https://{endpoint}"
    if region := given.get("s3_region"):
        store["client_kwargs"] = {"region_name": region}
    return store


def _malformed(where: str, problem: str, expected: str) -> SettingsError:
    return SettingsError(where, found=problem, expected=expected, next_step="correct the URL")


def literal(text: str) -> str:
    """Return text as SQL's literal."""
    return "'" + text.replace("'", "''") + "'"
