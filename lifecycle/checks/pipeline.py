"""Tries a job's pipeline on made-up rows, in processes of its own that end with all their children after a time."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from lifecycle.checks.pipeline_probe import ENDED, FAULT, OK, STAGE
from scoring.errors import JobFileError
from scoring.job import Job, is_theirs, place
from scoring.settings import child_environment

STARTING = 300
"""Seconds that Python and the libraries have to start."""
_FRAME = re.compile(r'File "(.+)", line (\d+)')


def check_pipeline(job: Job, seconds: int) -> list[str]:
    """Return what is worth knowing of a job's pipeline that fits, predicts, and can be stored and read again.

    Raises ``JobFileError`` with the pipeline's own error, its step, file and line; also when it is not done in ``seconds``.
    """
    with tempfile.TemporaryDirectory(prefix="nightshift-check-") as name:
        folder = Path(name)
        (folder / "job.json").write_text(job.model_dump_json(), encoding="utf-8")
        in_time = _run(folder, seconds)
        _raise_what_went_wrong(job, folder, in_time, seconds)
    return []


def _run(folder: Path, seconds: int) -> bool:
    """Return whether the process that tries the pipeline ended in time. It is ended with its children in any case."""
    path = os.pathsep.join(str(Path.cwd()) if part == "" else part for part in sys.path)
    command = [sys.executable, "-P", "-X", "faulthandler", "-m", "lifecycle.checks.pipeline_probe", str(folder)]
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(
            command,
            env=child_environment({"PYTHONPATH": path}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
    try:
        for _ in range(STARTING * 10):  # its own imports are no time of the pipeline's
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
            if (folder / STAGE).exists() or process.returncode is not None:
                break
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return True


def _raise_what_went_wrong(job: Job, folder: Path, in_time: bool, seconds: int) -> None:
    where = f"jobs/{job.name}.yaml: pipeline"
    if (folder / FAULT).exists():
        facts = json.loads((folder / FAULT).read_text(encoding="utf-8"))
        message = facts.pop("message", None)
        raise JobFileError(message) if message else JobFileError(where, **facts)
    codes = json.loads((folder / ENDED).read_text(encoding="utf-8")) if (folder / ENDED).exists() else []
    if codes == [OK, OK]:
        return
    stage = (folder / STAGE).read_text(encoding="utf-8") if (folder / STAGE).exists() else "starting"
    if not in_time:
        raise JobFileError(
            where,
            found=f"no end after {seconds} s while {stage}",
            expected="a pipeline that is made and fitted sooner",
            next_step="look for a loop or a wait; if it only takes long, raise NIGHTSHIFT_CHECK_SECONDS",
        )
    code = codes[-1] if codes else 0
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    raise JobFileError(
        where,
        found=f"its process ended with {how} while {stage}{_last_line(folder)}",
        expected="a pipeline that is fitted and predicts",
        next_step="try it by itself in Python",
    )


def _last_line(folder: Path) -> str:
    """Return the file and line of the user's code that a crashed process was in, or the last it said."""
    text = (folder / "stderr").read_text(encoding="utf-8", errors="replace")
    frames = [(name, int(line)) for name, line in _FRAME.findall(text) if is_theirs(name)]
    if frames:
        return f" ({place(*frames[0])})"
    lines = [line for line in text.splitlines() if line.strip()]
    return f"; it said {lines[-1][:200]!r}" if lines else ""
