"""PostgreSQL restarted, killed, or cut off in the middle of a night: the old night or the new one, and a re-run repairs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from struct import pack

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from scoring.stores import embedded
from scoring.stores.installation import open_stores
from tests.conftest import Toy
from tests.support.faults import POINTS, Ended, crash, cut, during, reader_of, require_healed, restart, while_reading

GOES_ON = ("loaded, before the flip", "flipped, before the lake object")
"""Points at which no session is at work: the next statement has a new connection, and the night ends well."""


FAULTS = {"restarted": restart, "killed": crash}


def _fails_with(fault: Callable[[], object], toy: Toy, commands: Path, point: str) -> None:
    with reader_of(toy):
        result = during(commands, toy, POINTS[point], fault)
    _require_named(result, point)
    require_healed(toy)


def _require_named(result: Ended, point: str) -> None:
    expected = (0, "") if point in GOES_ON else (1, "WarehouseUnavailable")
    assert (result.code, result.err.partition(": ")[0]) == expected, result


def test_server_killed_while_rows_are_loaded(fragile: Toy, own_cluster: Path, commands: Path) -> None:
    _fails_with(lambda: crash(own_cluster), fragile, commands, "rows sent and not committed")


@pytest.mark.nightly
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("point", POINTS)
def test_server_restarted_or_killed_anywhere(
    fragile: Toy, own_cluster: Path, commands: Path, point: str, fault: str
) -> None:
    _fails_with(lambda: FAULTS[fault](own_cluster), fragile, commands, point)


@pytest.mark.nightly
@pytest.mark.parametrize("fault", FAULTS)
def test_server_restarted_or_killed_while_the_source_sends_rows(
    fragile: Toy, own_cluster: Path, commands: Path, fault: str
) -> None:
    with reader_of(fragile):
        result = while_reading(commands, fragile, lambda: FAULTS[fault](own_cluster))
    assert result.code == 1
    assert result.err.startswith(("SourceUnavailable: ", "WarehouseUnavailable: ")), "both are on the server"
    require_healed(fragile)


def test_session_of_the_source_is_ended_while_it_sends_rows(toy: Toy, commands: Path) -> None:
    with reader_of(toy):
        result = while_reading(commands, toy, lambda: cut(toy.source, "query ilike 'copy%'"))
    assert (result.code, result.err.partition(": ")[0]) == (1, "SourceUnavailable"), result
    require_healed(toy)


@pytest.mark.nightly
@pytest.mark.parametrize("point", POINTS)
def test_sessions_of_the_warehouse_are_ended_anywhere(toy: Toy, commands: Path, point: str) -> None:
    ours = "query not ilike '%_predictions where%'"
    _fails_with(lambda: cut(toy.stores.warehouse.url, ours), toy, commands, point)


# ---------------------------------------------------------------- the network


@dataclass
class Wire:
    """A way over TCP to the socket of a server, which can be cut."""

    socket_file: str
    port: int = 0
    ends: list[socket.socket] = field(default_factory=list)

    def serve(self, listening: socket.socket) -> None:
        """Connect whoever comes, until the listening socket is closed."""
        with suppress(OSError):
            while True:
                near, _ = listening.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self.socket_file)
                self.ends += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=_carry, args=(source, target), daemon=True).start()

    def cut(self) -> None:
        """End every connection at once, without a goodbye."""
        for end in self.ends:
            with suppress(OSError):
                if end.family == socket.AF_INET:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.ends.clear()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65_536):
            target.sendall(content)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def wire_to(folder: Path) -> Iterator[Wire]:
    """Give a way over TCP to the cluster in a data folder."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        wire = Wire(f"{embedded.socket_folder(folder / 'postgres')}/.s.PGSQL.5432", listening.getsockname()[1])
        thread = threading.Thread(target=wire.serve, args=(listening,), daemon=True)
        thread.start()
        try:
            yield wire
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            wire.cut()


def over(wire: Wire, toy: Toy, what: str) -> Toy:
    """Return the toy whose source or warehouse is at the other end of the wire."""
    settings = toy.stores.settings

    def there(url: str) -> SecretStr:
        far = sa.make_url(url).set(host="127.0.0.1", port=wire.port, query={})
        return SecretStr(far.render_as_string(hide_password=False))

    changed: dict[str, object] = {"sources": {"toy": there(toy.source)}}
    if what == "warehouse":
        assert settings.warehouse_url is not None
        changed = {"warehouse_url": there(settings.warehouse_url.get_secret_value())}
    return Toy(open_stores(settings.model_copy(update=changed), toy.stores.clock), toy.job, toy.source, toy.folder)


@pytest.mark.nightly
def test_network_to_the_source_breaks_while_it_sends_rows(toy: Toy, commands: Path, data_dir: Path) -> None:
    with wire_to(data_dir) as wire, reader_of(toy):
        far = over(wire, toy, "source")
        result = while_reading(commands, far, wire.cut)
        far.stores.warehouse.engine.dispose()
    assert (result.code, result.err.partition(": ")[0]) == (1, "SourceUnavailable"), result
    require_healed(toy)


@pytest.mark.nightly
@pytest.mark.parametrize("point", POINTS)
def test_network_to_the_warehouse_breaks_anywhere(toy: Toy, commands: Path, data_dir: Path, point: str) -> None:
    with wire_to(data_dir) as wire, reader_of(toy):
        far = over(wire, toy, "warehouse")
        result = during(commands, far, POINTS[point], wire.cut)
        far.stores.warehouse.engine.dispose()
    _require_named(result, point)
    require_healed(toy)
