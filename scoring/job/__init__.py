"""A job: its file, its policies, the function that makes its pipeline."""

from scoring.job.definition import HIDDEN, Feature, Job, Role
from scoring.job.faults import is_theirs, place, place_of, step_of, steps_of, words_of
from scoring.job.files import changed_job, find_job, load_jobs
from scoring.job.policies import Monitor, Promotion, Retraining, Training
from scoring.job.scaffold import new_job
from scoring.job.task import BINARY, MULTICLASS, PRIMARY_METRICS, REGRESSION, TASKS, Task

__all__ = [
    "BINARY",
    "HIDDEN",
    "MULTICLASS",
    "PRIMARY_METRICS",
    "REGRESSION",
    "TASKS",
    "Feature",
    "Job",
    "Monitor",
    "Promotion",
    "Retraining",
    "Role",
    "Task",
    "Training",
    "changed_job",
    "find_job",
    "is_theirs",
    "load_jobs",
    "new_job",
    "place",
    "place_of",
    "step_of",
    "steps_of",
    "words_of",
]
