"""Opens a model's file where a crash harms nobody: ``python -m lifecycle.registration.opening_process FOLDER``.

The folder holds the file ``model`` and ``asked.json``; what went wrong, or nothing, stands in ``answer.json`` afterwards.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

from scoring.job import Job, words_of
from scoring.stores.registry import FORMATS, opened


def main(folder: Path) -> None:
    """Open the file of a folder, and write what went wrong."""
    asked = json.loads((folder / "asked.json").read_text(encoding="utf-8"))
    job = Job.model_validate_json(asked["job"])
    fault = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            opened(FORMATS[asked["format"]], (folder / "model").read_bytes(), job, asked["types"], None)
    except Exception as error:  # noqa: BLE001 - whatever a file raises is told to the process that asked
        fault = words_of(error)
    (folder / "answer.json").write_text(json.dumps({"fault": fault}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
