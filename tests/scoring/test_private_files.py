"""A second user of the machine reaches nothing: not the embedded cluster, not the files; and nobody lays a trap in /tmp."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scoring.errors import SettingsError
from scoring.private_files import close_folder, own_files_only, parents_unchanged
from scoring.settings import HOME, child_environment, load_settings, private_runtime_folder
from scoring.stores import embedded
from tests.conftest import Toy
from tests.support.shell import nightshift
from tests.support.toy import NIGHT

OTHER = 65534
"""The number of a user without rights of its own, ``nobody``."""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as another user")


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter, as /tmp; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="nightshift-open-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def tried_by_another(script: str, *arguments: object) -> str:
    """Return what a Python script prints that runs as another user."""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable  # which others may run
    command = ["/usr/bin/env", "-i", python, "-I", "-S", "-c", script, *map(str, arguments)]
    ended = subprocess.run(
        command, user=OTHER, group=OTHER, extra_groups=[], capture_output=True, text=True, cwd="/", timeout=60
    )
    return (ended.stdout + ended.stderr).strip().splitlines()[-1]


READ = """
import os, sys
readable = []
for top, folders, files in os.walk(sys.argv[1]):
    readable += [os.path.join(top, name) for name in files if os.access(os.path.join(top, name), os.R_OK)]
for path in sys.argv[2:]:
    readable += [path] * os.access(path, os.R_OK)
print("reads", *readable)
"""
CONNECT = """
import socket, sys
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
    print("connected")
except OSError as error:
    print(type(error).__name__)
"""


def mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.lstat().st_mode):o}"


def others_may(path: Path) -> bool:
    return bool(path.lstat().st_mode & 0o077)


# ---------------------------------------------------------------- files


def test_everything_that_a_night_writes_is_its_users_only(toy: Toy) -> None:
    variables = child_environment(toy.stores.settings.environment())
    toy.folder.chmod(0o755)
    open_before = {path for path in toy.folder.rglob("*") if others_may(path)}
    ran = subprocess.run(
        nightshift("run", toy.job.name, "--night", NIGHT),
        env=variables,
        cwd=HOME,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stderr
    written = [path for path in (toy.folder / "lake").rglob("*") if path.is_file()]
    assert {path.name.partition("-")[0].partition(".")[0] for path in written} >= {"features", "predictions", "run"}
    assert [path for path in toy.folder.rglob("*") if others_may(path) and path not in open_before] == []
    assert mode(toy.folder) == ("711" if os.geteuid() == 0 else "700")


@as_root
def test_another_user_reads_nothing_of_an_installation(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = folder / "data"
    for name in ("lake/quarantine", "models/1", "airflow/logs/dag", "lake/predictions"):
        (data / name).mkdir(parents=True)
        (data / name / "file").write_text("as an installation of before left it")
    paths = list(data.rglob("file"))
    assert tried_by_another(READ, data).split()[1:]
    monkeypatch.setenv("NIGHTSHIFT_DATA_DIR", str(data))
    load_settings.cache_clear()
    try:
        load_settings()
    finally:
        load_settings.cache_clear()
    assert tried_by_another(READ, data, *paths) == "reads"
    assert os.umask(0o022) == 0o077


def test_folders_of_others_and_shared_ones_stay_as_they_are(folder: Path) -> None:
    shared, linked, ours = folder / "shared", folder / "linked", folder / "lake"
    for path, bits in ((shared, 0o1777), (ours, 0o755)):
        path.mkdir()
        path.chmod(bits)
    linked.symlink_to(shared)
    close_folder(shared, ())
    close_folder(linked, ())
    close_folder(Path("/tmp"), ())
    assert mode(shared) == "1777"
    assert mode(Path("/tmp")) == "1777"
    close_folder(folder / "elsewhere", ("nothing",))
    close_folder(folder, ("lake",))
    assert mode(ours) == "700"
    if os.geteuid() == 0:
        os.chown(ours, OTHER, OTHER)
        ours.chmod(0o755)
        close_folder(folder, ("lake",))
        assert mode(ours) == "755"


def test_files_are_made_for_their_owner_only(folder: Path) -> None:
    own_files_only()
    (folder / "a").mkdir()
    (folder / "a" / "b").write_text("")
    assert (mode(folder / "a"), mode(folder / "a" / "b")) == ("700", "600")


def test_folders_above_keep_their_modes(folder: Path) -> None:
    deep = folder / "a" / "b"
    deep.mkdir(parents=True)
    (folder / "a").chmod(0o700)
    with parents_unchanged(deep):
        (folder / "a").chmod(0o755)
    assert mode(folder / "a") == ("711" if os.geteuid() == 0 else "700")


# ---------------------------------------------------------------- the embedded PostgreSQL


@pytest.mark.slow
@as_root
@pytest.mark.parametrize("long", [pytest.param(False, marks=pytest.mark.nightly), True], ids=["beside", "apart"])
def test_another_user_reaches_neither_socket_nor_files_of_the_embedded_cluster(
    folder: Path, monkeypatch: pytest.MonkeyPatch, long: bool
) -> None:
    """A socket needs a short path: below a long one it lies apart, in this user's runtime folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    cluster = folder / ("x" * 90 if long else "data") / "postgres"
    try:
        sockets = Path(embedded.socket_folder(cluster))
        assert (sockets != cluster) == long
        path = sockets / ".s.PGSQL.5432"
        with socket.socket(socket.AF_UNIX) as own:
            own.connect(str(path))
        assert tried_by_another(CONNECT, path) == "PermissionError"
        assert tried_by_another(READ, folder, cluster / "PG_VERSION", cluster / "log") == "reads"
        assert not sockets.parent.stat().st_mode & 0o066
        assert not cluster.parent.stat().st_mode & 0o066
        assert mode(folder / "nightshift-0") == "700"
    finally:
        embedded.stop(cluster)


def planted(path: Path, how: str, folder: Path) -> None:
    if how == "a symbolic link":
        (folder / "elsewhere").mkdir(mode=0o700)
        path.symlink_to(folder / "elsewhere")
    elif how == "a file":
        path.touch()
    else:
        path.mkdir(mode=0o700)
        path.chmod(0o777 if "mode" in how else 0o700)
        if "uid" in how:
            os.chown(path, OTHER, OTHER)


@pytest.mark.parametrize(
    "how", ["a symbolic link", "a folder with mode 777", pytest.param(f"a folder of uid {OTHER}", marks=as_root)]
)
def test_runtime_folder_that_somebody_else_made_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    planted(folder / f"nightshift-{os.getuid()}", how, folder)
    with pytest.raises(SettingsError, match=f"found {how}"):
        private_runtime_folder(str(folder))
    assert "XDG_RUNTIME_DIR" not in os.environ


def test_runtime_folder_is_the_named_one_only_if_it_is_this_users(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = folder / "named"
    named.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(named))
    monkeypatch.setenv("LOGNAME", "../somebody")
    assert private_runtime_folder(str(folder)) == named
    named.chmod(0o777)
    own = folder / f"nightshift-{os.getuid()}"
    assert private_runtime_folder(str(folder)) == own
    assert os.environ["XDG_RUNTIME_DIR"] == str(own)
    assert mode(own) == "700"
    assert private_runtime_folder(str(folder)) == own


def test_runtime_folder_that_others_could_list_is_closed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    own = folder / f"nightshift-{os.getuid()}"
    own.mkdir(mode=0o755)
    assert private_runtime_folder(str(folder)) == own
    assert mode(own) == "700"
