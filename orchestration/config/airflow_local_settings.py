"""What Airflow's processes begin with: files for their user only, and, where tasks are forked, what every task needs.

Imported once in the process that forks them: 4 CPU seconds a task fall to 0.25. Libraries and our own packages: a change of
either is seen by tasks once the scheduler, or the worker, is started again.
"""

from __future__ import annotations

import gc
import sys
from contextlib import suppress

from scoring.private_files import own_files_only

own_files_only()
if {"scheduler", "worker"} & set(sys.argv):
    from scoring.settings import quiet_telemetry

    quiet_telemetry()

    import adbc_driver_postgresql.dbapi  # noqa: F401
    import evidently.presets  # noqa: F401
    import mlflow.tracking  # noqa: F401
    import pandas  # noqa: F401
    import psycopg  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import sklearn.compose
    import sklearn.ensemble
    import sklearn.pipeline  # noqa: F401
    import sqlglot  # noqa: F401

    import scoring.night
    import scoring.upkeep  # noqa: F401
    from scoring.errors import NightshiftError
    from scoring.settings import load_settings
    from scoring.stores import Lake

    with suppress(NightshiftError):  # a task says what is wrong
        Lake(load_settings().lake_root)  # loads the library of the object store that the lake is on

    gc.freeze()  # what is loaded stays: no task looks for garbage in it, which would also copy the pages that all share
