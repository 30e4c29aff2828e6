"""Which jobs a DAG file makes DAGs of."""

from __future__ import annotations

from airflow.sdk import get_parsing_context

from scoring.errors import JobFileError
from scoring.job import Job, load_jobs
from scoring.settings import load_settings


def jobs_to_parse(suffix: str) -> tuple[list[Job], dict[str, JobFileError]]:
    """Return the jobs to make DAGs called ``<job><suffix>`` of, and the error of each file that is not valid.

    All jobs of the installation; in a process that runs a task only that task's job, for it parses the DAG file again: of
    a hundred jobs that took longer than the task.
    """
    folder, dag_id = load_settings().jobs_dir, get_parsing_context().dag_id or ""
    name = dag_id.removesuffix(suffix)
    alone = name != dag_id and (folder / f"{name}.yaml").is_file()
    return load_jobs(folder, name) if alone else load_jobs(folder)
