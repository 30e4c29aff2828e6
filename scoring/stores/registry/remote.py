"""A pipeline in another process, in the environment of its version: asked as any other, answered over a pipe."""

from __future__ import annotations

import json
import struct
import subprocess
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from scoring.errors import PredictionError, RegistryUnavailable

if TYPE_CHECKING:
    import pandas as pd

WORKER = Path(__file__).with_name("worker.py")
ENDING = 5
"""Seconds that a worker has to end by itself once nobody sends it anything any more."""


class RemotePipeline:
    """A fitted pipeline that another Python opened. It predicts what it predicted there."""

    def __init__(
        self, python: Path, content: bytes, environment: Mapping[str, str], words: str, inputs: Sequence[str] = ()
    ) -> None:
        """Start the worker and send it the pipeline's bytes. Raises ``PredictionError`` when it cannot open them there.

        With ``inputs`` the pipeline is given these columns, by their place if it knows no names.
        """
        self.words, self._lock, self._inputs = words, Lock(), list(inputs)
        self._start = (python, content, dict(environment))
        self._child: subprocess.Popen[bytes] | None = None
        self._log: Any = None
        with self._lock:
            facts = self._opened()
        self._methods: list[str] = facts["methods"]
        if facts["classes"] is not None:
            self.classes_ = np.array(facts["classes"])

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Return what the pipeline's ``predict`` gives."""
        return self._asked("predict", frame)

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray:
        """Return what the pipeline's ``predict_proba`` gives."""
        return self._asked("predict_proba", frame)

    def __getattr__(self, name: str) -> Any:
        """Return another method that takes rows and that the pipeline has."""
        if name not in self.__dict__.get("_methods", ()):
            raise AttributeError(name)
        return partial(self._asked, name)

    @property
    def nightshift_uncalibrated(self) -> _Uncalibrated:
        """Return the pipeline inside its calibration."""
        return _Uncalibrated(self)

    def _asked(self, method: str, frame: pd.DataFrame) -> np.ndarray:
        """Return the answer to a frame. A worker that is gone is started again; one that goes meanwhile can be asked again."""
        request = {"method": method, "by_place": bool(self._inputs)}
        content = encoded(frame[self._inputs] if self._inputs else frame)
        with self._lock:
            if self._child is None or self._child.poll() is not None:
                self._opened()
            facts, content = self._exchanged([json.dumps(request).encode(), content])
        if facts["type"] == "text":
            return np.array(json.loads(content), dtype=object).reshape(facts["shape"])
        return np.frombuffer(content, dtype=facts["type"]).reshape(facts["shape"])

    def _opened(self) -> dict[str, Any]:
        python, content, environment = self._start
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        self._child = subprocess.Popen(
            [python, "-u", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            start_new_session=True,
        )
        weakref.finalize(self, _end, self._child, self._log)
        return self._exchanged([content])[0]

    def _exchanged(self, messages: list[bytes]) -> tuple[dict[str, Any], bytes]:
        """Send messages and return the answer. Raises ``PredictionError`` for an error there."""
        child = self._child
        if child is None or child.stdin is None or child.stdout is None:
            raise AssertionError("a worker was started")
        try:
            for message in messages:
                child.stdin.write(struct.pack("<Q", len(message)))
                child.stdin.write(message)
            child.stdin.flush()
            facts, content = json.loads(self._received(child)), self._received(child)
        except (OSError, EOFError) as error:
            child.kill()
            child.wait()
            raise RegistryUnavailable(
                f"the worker of {self.words}",
                found=f"it ended with {child.returncode}: {self._said()}",
                next_step="try again",
            ) from error
        if "error" in facts:
            raise PredictionError(f"pipeline in {self.words}", found=facts["error"])
        return facts, content

    def _received(self, child: subprocess.Popen[bytes]) -> bytes:
        head = child.stdout.read(8) if child.stdout else b""
        if len(head) < 8:
            raise EOFError
        size = struct.unpack("<Q", head)[0]
        content = child.stdout.read(size) if child.stdout else b""
        if len(content) < size:
            raise EOFError
        return content

    def _said(self) -> str:
        """Return the end of what the worker wrote to standard error."""
        self._log.seek(0)
        return " ".join(self._log.read().decode(errors="replace")[-500:].split()) or "nothing was said"


class _Uncalibrated:
    """The pipeline inside the calibration of another."""

    def __init__(self, pipeline: RemotePipeline) -> None:
        self._pipeline = pipeline
        self.classes_ = pipeline.classes_

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Return what its ``predict`` gives."""
        return self._pipeline._asked("uncalibrated", frame)


def encoded(frame: pd.DataFrame) -> bytes:
    """Return a frame in Arrow's stream format, nulls for NaN and NaT."""
    table, sink = pa.Table.from_pandas(frame, preserve_index=False), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _end(child: subprocess.Popen[bytes], log: Any) -> None:
    """End a worker: it ends by itself when its input does."""
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with suppress(OSError):  # it is gone already
                pipe.close()
    try:
        child.wait(ENDING)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    log.close()
