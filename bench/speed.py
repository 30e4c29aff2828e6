"""``make bench``: nights next to the bare predict, the naive loop and other tools, on the same rows, in parts.

Each part writes its JSON into bench/results when it is done, and ``docs/measurements/speed.md`` is written anew from all
that is there. Exit code 1 when a part failed, or two ways did not score the same; a missed target is shown, no failure.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.installation import Facts, Installation, machine, own_settings, say
from bench.material import installed
from bench.parts import ON_REQUEST, PARTS, Size
from bench.peer_runs import PEERS, listen
from bench.speed_page import PAGE, written
from bench.targets import hashes, targets
from scoring.settings import HOME, code_version, quiet_telemetry

RESULTS = HOME / "bench" / "results" / "speed"


def results(folder: Path) -> dict[str, Facts]:
    """Return the facts of every part that was measured, by its name."""
    return {
        part: json.loads(path.read_text(encoding="utf-8"))
        for part in PARTS
        if (path := folder / f"{part}.json").exists()
    }


def measured(part: str, here: Installation, asked: argparse.Namespace, code: str) -> bool:
    """Measure a part and write its JSON; return whether that went well. A part that fails leaves its JSON as it was."""
    say(f"part {part}")
    loads, began = [os.getloadavg()[0]], time.monotonic()
    try:
        facts = PARTS[part](here, Size.of(asked.rows))
    except Exception:  # noqa: BLE001 - the other parts are measured all the same
        say(f"part {part} failed\n{traceback.format_exc()}")
        return False
    loads.append(os.getloadavg()[0])
    about = {
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "code_version": code,
        "rows": asked.rows,
        "seconds": round(time.monotonic() - began, 1),
        "load_average": loads,
        "machine": machine(),
    }
    content = json.dumps({**about, **facts}, indent=1, default=str)
    asked.results.mkdir(parents=True, exist_ok=True)
    (asked.results / f"{part}.json").write_text(f"{content}\n", encoding="utf-8")
    return True


def asked_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(prog="python -m bench.speed", description="Measure nights, part by part.")
    names = ", ".join(PARTS)
    parser.add_argument("--only", help=f"parts with commas between them, of {names}")
    parser.add_argument("--missing", action="store_true", help="only the parts that this commit has no results of")
    parser.add_argument("--rows", type=int, default=Size.rows, help="rows of the night that every way scores")
    parser.add_argument(
        "--data", type=Path, help="data folder to use and keep; default: one that is removed at the end"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    parser.add_argument("--page", type=Path, default=PAGE, help="page whose generated part is written anew")
    asked = parser.parse_args(arguments)
    asked.parts = asked.only.split(",") if asked.only else [part for part in PARTS if part not in ON_REQUEST]
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"--only: {', '.join(sorted(unknown))}, expected some of {names}")
    return asked


def _parts(asked: argparse.Namespace, code: str) -> list[str]:
    """Return the parts to measure: without the peers if none of them is here, which leaves earlier results of them."""
    there = {name: facts["code_version"] for name, facts in results(asked.results).items()}
    parts = [part for part in asked.parts if not (asked.missing and there.get(part) == code)]
    lacks = {peer.name: peer.missing() for peer in PEERS}
    for name, why in lacks.items() if "peers" in parts else ():
        if why:
            say(f"{name} is left out: {why}")
    return [part for part in parts if part != "peers" or not all(lacks.values())]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the parts that were asked for and write the page; return the exit code."""
    quiet_telemetry()
    asked = asked_of(arguments)
    (HOME / "data").mkdir(exist_ok=True)
    folder = asked.data.resolve() if asked.data else Path(tempfile.mkdtemp(prefix="bench-", dir=HOME / "data"))
    code = code_version(own_settings(folder)).removesuffix("-dirty")  # the page that is written makes it that
    parts = _parts(asked, code)
    if "peers" in parts:
        listen(folder)
    here, good = installed(folder), True
    try:
        for part in parts:
            good &= measured(part, here, asked, code)
            written(asked.page, results(asked.results))
    finally:
        here.stop()
        if asked.data is None:
            shutil.rmtree(folder)
    return 0 if _told(results(asked.results)) and good else 1


def _told(parts: dict[str, Facts]) -> bool:
    """Print the targets; return whether all ways scored the same."""
    from cli import tables

    lines = [tuple(cell.strip("*") for cell in target.line()) for target in targets(parts)]
    tables.table("Targets", ("", "target", "measured", ""), lines)
    differ = [name for name, values in hashes(parts).items() if len(values) > 1]
    for name in differ:
        say(f"{name}: different hashes")
    return not differ


if __name__ == "__main__":
    sys.exit(main())
