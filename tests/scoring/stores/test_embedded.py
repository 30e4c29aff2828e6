"""Whether an embedded cluster runs, by the number of its process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scoring.stores.embedded import runs


def test_number_that_a_process_of_another_user_has_now_is_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n")
    assert runs(tmp_path)

    def refuse(pid: int, signal: int) -> None:
        raise PermissionError(1, f"not allowed to send {signal} to {pid}")

    monkeypatch.setattr(os, "kill", refuse)
    assert not runs(tmp_path)
