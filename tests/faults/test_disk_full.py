"""A disk that is full at each step of a night: the error says where and what to do, and with room the night is repeated."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from scoring.stores.lake import Lake
from scoring.stores.urls import libpq_url
from tests.conftest import Toy
from tests.support.faults import POINTS, during, ended, reader_of, require_healed, started
from tests.support.runs import run
from tests.support.toy import NIGHT

PAGE = 4096
"""Bytes of a file of which a file system in memory keeps whole pages."""
WRITTEN = {
    "features": ("scoring.night.extract", "write_chunk", 2),
    "predictions": ("scoring.night.score", "profiled", 2),
    "profile": ("scoring.stores.run_folder:RunFolder", "write_scored", 2),
    "current object": POINTS["lake object half written"],
}
"""The point before each kind of file is written."""


def fill(disk: Path) -> None:
    """Leave no room on a disk."""
    with suppress(OSError), (disk / "ballast").open("ab", buffering=0) as ballast:
        while True:
            ballast.write(b"x" * PAGE)


def make_room(disk: Path) -> None:
    """Undo ``fill``."""
    (disk / "ballast").unlink()


def on(disk: Path, toy: Toy) -> Toy:
    """Return the toy whose lake is on a disk."""
    (disk / "lake").mkdir()
    settings = toy.stores.settings.model_copy(update={"lake_url": str(disk / "lake")})
    return Toy(replace(toy.stores, settings=settings, lake=Lake(str(disk / "lake"))), toy.job, toy.source, toy.folder)


@pytest.mark.parametrize("what", ["current object"])
def test_lake_is_full_when_the_night_is_flipped(toy: Toy, commands: Path, small: Path, what: str) -> None:
    _fills(on(small, toy), commands, small, what)


@pytest.mark.nightly
@pytest.mark.parametrize("what", WRITTEN)
def test_lake_is_full_at_any_step(toy: Toy, commands: Path, small: Path, what: str) -> None:
    _fills(on(small, toy), commands, small, what)


def _fills(toy: Toy, commands: Path, disk: Path, what: str) -> None:
    with reader_of(toy):
        result = during(commands, toy, WRITTEN[what], lambda: fill(disk))
        assert (result.code, result.err.partition(": ")[0]) == (1, "LakeUnavailable"), result
        assert "No space left on device (0.00 GiB free)" in result.err
        assert "make room (`nightshift retention` shows what may go)" in result.err
        make_room(disk)
    require_healed(toy)


@pytest.mark.nightly
def test_temporary_folder_is_full(distant: Toy, commands: Path, small: Path) -> None:
    (distant.folder / "tmp").symlink_to(small)
    run(distant)
    result = during(commands, distant, WRITTEN["features"], lambda: fill(small))
    assert (result.code, result.err.partition(": ")[0]) == (1, "LakeUnavailable"), result
    assert f"lake, {distant.folder / 'tmp'}: found No space left" in result.err
    make_room(small)
    require_healed(distant)


@pytest.mark.nightly
def test_lake_is_full_when_the_report_is_written(toy: Toy, commands: Path, small: Path) -> None:
    far = on(small, toy)
    with reader_of(far):
        run(far)
        fill(small)
        words = ("drift", "report", far.job.name, NIGHT)
        full = ended(started(commands, far, *words))
        assert (full.code, "No space left" in full.err) == (1, True), full
        make_room(small)
    require_healed(far)


@pytest.mark.nightly
def test_disk_of_the_warehouse_is_full_while_rows_are_loaded(
    fragile: Toy, own_cluster: Path, commands: Path, roomy: Path
) -> None:
    fragile.stores.warehouse.engine.dispose()
    owner = (own_cluster / "postgres").stat().st_uid
    os.chown(roomy, owner, -1)
    (roomy / "space").mkdir()
    os.chown(roomy / "space", owner, -1)
    url = libpq_url(fragile.stores.warehouse.url)
    name = url.rpartition("/")[2].partition("?")[0]
    with psycopg.connect(url.replace(f"/{name}?", "/postgres?"), autocommit=True) as connection:
        connection.execute(f"create tablespace faults location '{roomy / 'space'}'".encode())
        connection.execute(f"alter database {name} set tablespace faults".encode())
    try:
        with reader_of(fragile):
            result = during(commands, fragile, POINTS["rows sent and not committed"], lambda: fill(roomy))
            assert (result.code, result.err.partition(": ")[0]) == (1, "WarehouseUnavailable"), result
            assert "No space left on device" in result.err
            make_room(roomy)
        require_healed(fragile)
    finally:
        fragile.stores.warehouse.engine.dispose()
        with psycopg.connect(url.replace(f"/{name}?", "/postgres?"), autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)".encode())
            connection.execute("drop tablespace faults")
