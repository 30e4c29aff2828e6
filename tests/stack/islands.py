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
def islands(names: list[str], hidden: Path) -> Iterator[dict[str, list[str]]]:
    """Give, by island, the words before a command that run it there. The folder ``hidden`` is empty there. Needs root."""
    bridge = f"ns{os.getpid()}"
    hidden.mkdir(parents=True, exist_ok=True)
    _ip(f"link add {bridge} type bridge")
    try:
        _ip(f"address add {HOST}/24 dev {bridge}")
        _ip(f"link set {bridge} up")
        yield {name: _island(bridge, number, hidden) for number, name in enumerate(names)}
    finally:
        for number in range(len(names)):
            _ip(f"netns delete {bridge}-{number}", check=False)
        _ip(f"link delete {bridge}")


def _island(bridge: str, number: int, hidden: Path) -> list[str]:
    name, outer, inner = f"{bridge}-{number}", f"{bridge}o{number}", f"{bridge}i{number}"
    _ip(f"netns add {name}")
    _ip(f"link add {outer} type veth peer name {inner} netns {name}")
    _ip(f"link set {outer} master {bridge} up")
    _ip(f"-n {name} address add {HOST.rpartition('.')[0]}.{number + 10}/24 dev {inner}")
    _ip(f"-n {name} link set {inner} up")
    _ip(f"-n {name} link set lo up")
    mount = f'mount -t tmpfs none {hidden} && exec "$@"'
    return ["ip", "netns", "exec", name, "unshare", "--mount", "sh", "-c", mount, "island"]


def _ip(words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words.split()], check=check, capture_output=True)
