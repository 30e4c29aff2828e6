"""A process that has imported the libraries once and forks for every command: importing them takes seconds of each.

``python -m tests.support.preloaded SOCKET`` serves; ``commands_of`` starts it and writes the program ``nightshift`` that asks
it. A fork has the arguments, folder, environment and streams of who asks, and its exit code is given back.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scoring.settings import HOME, child_environment, quiet_telemetry

LIBRARIES = ("pandas", "pyarrow.parquet", "sklearn.ensemble", "mlflow.tracking", "psycopg", "sqlalchemy", "cli.main")
"""What nearly every command imports. Who judges nights wants evidently too."""
LARGEST = 1 << 20
"""Bytes of a request at most: arguments and environment."""
ASK = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    server.connect(sys.argv[1])
    request = {"arguments": sys.argv[2:], "folder": os.getcwd(), "environment": dict(os.environ)}
    socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
    code = int(server.recv(64) or b"1")
sys.exit(code if code >= 0 else 128 - code)
"""
"""The program that asks: it begins in 20 ms."""


def serve(path: str) -> None:
    """Answer requests until this process is ended: each in a fork of its own."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(path)
        server.listen()
        gc.freeze()  # the forks share what is there
        print("ready", flush=True)
        while True:
            connection, _ = server.accept()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if os.fork() == 0:
                server.close()
                _answer(connection)
                return
            connection.close()


def _answer(connection: socket.socket) -> None:
    """Run the command in a fork of this fork, and tell who asks how that ended."""
    content, streams, *_ = socket.recv_fds(connection, LARGEST, 3)
    child = os.fork()
    if child == 0:
        connection.close()
        _run(json.loads(content), streams)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with suppress(BrokenPipeError):
        connection.send(str(code).encode())
    os._exit(0)


def _run(request: dict[str, object], streams: list[int]) -> None:
    """Be the command: its streams, environment, folder and arguments."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    os.chdir(str(request["folder"]))
    sys.path[:0] = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.argv = ["nightshift", *request["arguments"]]  # type: ignore[misc]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from cli.main import main

    code: object = 1
    try:
        main()
        code = 0
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001 - said as Python does, which would take its modules apart page by page after that
        traceback.print_exc()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


@contextmanager
def commands_of(*more: str) -> Iterator[Path]:
    """Give a folder for ``PATH`` with the program ``nightshift``, whose runs are forks that have ``more`` imported too."""
    with tempfile.TemporaryDirectory(prefix="nightshift-preloaded-") as name:
        folder = Path(name)
        (folder / "ask.py").write_text(ASK)
        program = folder / "nightshift"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{folder}/ask.py" "{folder}/socket" "$@"\n')
        program.chmod(0o755)
        command = [sys.executable, "-m", "tests.support.preloaded", str(folder / "socket"), *more]
        alone = child_environment({"OMP_NUM_THREADS": "1"})  # several threads wait for each other on a busy machine
        with subprocess.Popen(command, cwd=HOME, env=alone, stdout=subprocess.PIPE) as server:
            try:
                assert server.stdout is not None
                assert server.stdout.readline() == b"ready\n"
                yield folder
            finally:
                server.kill()


if __name__ == "__main__":
    quiet_telemetry()
    for module in (*LIBRARIES, *sys.argv[2:]):
        importlib.import_module(module)
    serve(sys.argv[1])
