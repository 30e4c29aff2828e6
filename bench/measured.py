"""Calls ``measure(folder)`` of a module and writes what it returns as JSON: ``python -m bench.measured MODULE FOLDER FILE``.

What the module's ``table`` makes of it, if there is one, is kept as ``markdown``.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from scoring.settings import quiet_telemetry


def main(name: str, folder: str, file: str) -> None:
    """Measure and write the file."""
    quiet_telemetry()
    module = importlib.import_module(name)
    facts = dict(module.measure(Path(folder)))
    if "table" in vars(module):
        facts["markdown"] = module.table(facts)
    Path(file).write_text(json.dumps(facts, indent=1, default=str), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
