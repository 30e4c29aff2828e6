"""Files that only the user who runs Nightshift may read: the umask, the data folder, the folder of sockets."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scoring.errors import SettingsError

_UMASK = 0o077
"""Files are made for their owner only: 0600, folders 0700."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_THROUGH = stat.S_IXGRP | stat.S_IXOTH
"""Lets others go through a folder to a name that they know, not list it. The user of root's PostgreSQL has to."""
_TOP = 2
"""Parts of a path such as /srv, which is no folder of ours even if the setting says so."""


def own_files_only() -> None:
    """Let this process, and what it starts, make files for their owner only."""
    os.umask(_UMASK)


def open_like_its_folder(path: Path) -> None:
    """Let those read a file, or go into a folder, who may with the folder it lies in: it is made for them, not for us.

    Source files of a job, which an image takes and others review, and exports.
    """
    mode = stat.S_IMODE(path.parent.stat().st_mode) & 0o777
    path.chmod(mode if path.is_dir() else mode & 0o666)


def close_folder(folder: Path, names: Iterable[str]) -> None:
    """Shut others out of a folder, and out of the folders ``names`` in it, if they belong to this user.

    Installations of before have them open. What another owns, or a file system does not let, stays as it is.
    """
    if len(folder.parts) > _TOP:
        _close(folder, _THROUGH if os.geteuid() == 0 else 0)
    for name in names:
        _close(folder / name, 0)


def _close(folder: Path, left: int) -> None:
    with suppress(OSError):
        found = folder.lstat()
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & stat.S_ISVTX
        mode = stat.S_IMODE(found.st_mode)
        if ours and mode & _OTHERS & ~left:
            folder.chmod(mode & ~_OTHERS | mode & left)


def require_own(folder: Path, through: bool = False) -> Path:
    """Return the folder, made if it is not there and closed to others. Raises ``SettingsError`` unless it is this user's.

    One that others could write in is refused too: what is in it may be theirs. ``through`` lets others go through what
    root has made.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    problem = _not_own(folder)
    if problem:
        raise SettingsError(
            f"folder of sockets {folder}",
            found=problem,
            expected=f"a folder of uid {os.geteuid()} that nobody else may write in",
            next_step="remove it, or set XDG_RUNTIME_DIR to a folder of this user",
        )
    _close(folder, _THROUGH if through else 0)
    return folder


def is_own(folder: Path) -> bool:
    """Return whether a folder is there, belongs to this user, and is closed to everybody else."""
    return folder.is_dir() and _not_own(folder) is None and not folder.stat().st_mode & _OTHERS


def _not_own(folder: Path) -> str | None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return "a symbolic link" if stat.S_ISLNK(found.st_mode) else "a file"
    if found.st_uid != os.geteuid():
        return f"a folder of uid {found.st_uid}"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"a folder with mode {stat.S_IMODE(found.st_mode):o}"
    return None


@contextmanager
def parents_unchanged(*folders: Path) -> Iterator[None]:
    """Take back what a block opens of the folders above ``folders``: all but the way through, and that for root only.

    The wheel of PostgreSQL lets everybody list every folder above its data when root starts it.
    """
    parents = {parent for folder in folders for parent in folder.parents}
    before = {parent: stat.S_IMODE(parent.stat().st_mode) for parent in parents if parent.exists()}
    yield
    way = _THROUGH if os.geteuid() == 0 else 0
    for parent, mode in before.items():
        if stat.S_IMODE(parent.stat().st_mode) & ~mode & ~way:
            parent.chmod(mode | way)


def give_folder(folder: Path, like: Path) -> None:
    """Give a folder to the owner of another, and to nobody else. Only root can give it away."""
    owner = like.stat()
    if os.geteuid() == 0:
        os.chown(folder, owner.st_uid, owner.st_gid)
        folder.chmod(0o700)
