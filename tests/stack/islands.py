"""Places that share nothing with this one but a network: a network namespace each, and a mount namespace without our files."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = "10.199.77.1"
"""The address of this place, as the islands see it."""


@contextmanager
def islands(count: int) -> Iterator[list[str]]:
    """Give the names of so many network namespaces, which reach this place at ``HOST``. Needs root."""
    bridge = f"ns{os.getpid()}"
    names = [f"{bridge}-{number}" for number in range(count)]
    _ip(f"link add {bridge} type bridge")
    try:
        _ip(f"address add {HOST}/24 dev {bridge}")
        _ip(f"link set {bridge} up")
        for number, name in enumerate(names):
            _join(bridge, number, name)
        yield names
    finally:
        for name in names:
            _ip(f"netns delete {name}", check=False)
        _ip(f"link delete {bridge}")


def living_on(name: str, hidden: Path) -> list[str]:
    """Return the words before a command that run it on an island, where the folders in a folder of ours are empty."""
    mount = f'names=$(ls {hidden}) && mount -t tmpfs none {hidden} && (cd {hidden} && mkdir $names) && exec "$@"'
    return ["ip", "netns", "exec", name, "unshare", "--mount", "sh", "-c", mount, "island"]


def _join(bridge: str, number: int, name: str) -> None:
    outer, inner = f"{bridge}o{number}", f"{bridge}i{number}"
    _ip(f"netns add {name}")
    _ip(f"link add {outer} type veth peer name {inner} netns {name}")
    _ip(f"link set {outer} master {bridge} up")
    _ip(f"-n {name} address add {HOST.rpartition('.')[0]}.{number + 10}/24 dev {inner}")
    _ip(f"-n {name} link set {inner} up")
    _ip(f"-n {name} link set lo up")


def _ip(words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words.split()], check=check, capture_output=True)
