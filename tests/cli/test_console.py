"""What a command costs before it does anything."""

from __future__ import annotations

import gc
import subprocess
import sys

from cli import console
from scoring.settings import HOME

LIBRARIES = {"pandas", "pyarrow", "sklearn", "sqlalchemy", "mlflow", "evidently"}


def test_command_line_loads_no_library_of_rows_or_models_before_a_command_needs_it():
    code = "import sys, cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=HOME, capture_output=True, text=True, check=True)
    assert LIBRARIES & set(done.stdout.split()) == set()


def test_run_looks_for_garbage_seldom_while_libraries_load():
    before = gc.get_threshold()
    try:
        console.run(lambda: None)
        assert gc.get_threshold()[0] == console.OBJECTS_BETWEEN_COLLECTIONS
    finally:
        gc.set_threshold(*before)
