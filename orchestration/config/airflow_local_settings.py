"""What Airflow's processes begin with: files for their user only, and, where tasks are forked, what every task needs.

That process is the scheduler with a LocalExecutor, and else the Celery worker; a scheduler that only sends tasks away loads
nothing. Imported once there, 4 CPU seconds a task fall to 0.25. Libraries and our own packages: a change of either is seen by
tasks once that process is started again.
"""

from __future__ import annotations

import gc
import sys
from contextlib import suppress

from airflow.configuration import conf

from scoring.private_files import own_files_only

own_files_only()


def makes_tasks(words: list[str], executors: str) -> bool:
    """Return whether the Airflow command of these words forks the processes of tasks."""
    return "worker" in words or ("scheduler" in words and "LocalExecutor" in executors)


if makes_tasks(sys.argv, conf.get("core", "executor")):
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
    load_settings.cache_clear()  # a task reads them anew

    gc.freeze()  # what is loaded stays: no task looks for garbage in it, which would also copy the pages that all share
