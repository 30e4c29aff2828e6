"""A job: its file, its policies, the function that makes its pipeline."""

from scoring.job.columns import Feature, Role
from scoring.job.condition import Both, Condition
from scoring.job.deadline import deadline_in_words, newest_due, ready_at
from scoring.job.definition import HIDDEN_VALUE, Job, Kind
from scoring.job.faults import is_theirs, place, place_of, step_of, steps_of, words_of
from scoring.job.files import changed_job, find_job, load_jobs, parsed_job
from scoring.job.interval_policy import INTERVAL_COLUMNS, IntervalPolicy
from scoring.job.policies import MonitorPolicy, PromotionPolicy, RetrainingPolicy
from scoring.job.reasons import REASON_COLUMNS, kinds_of
from scoring.job.scaffold import new_job
from scoring.job.task import BINARY, MULTICLASS, PRIMARY_METRICS, REGRESSION, SCORE, TASKS, Task

__all__ = [
    "BINARY",
    "HIDDEN_VALUE",
    "INTERVAL_COLUMNS",
    "MULTICLASS",
    "PRIMARY_METRICS",
    "REASON_COLUMNS",
    "REGRESSION",
    "SCORE",
    "TASKS",
    "Both",
    "Condition",
    "Feature",
    "IntervalPolicy",
    "Job",
    "Kind",
    "MonitorPolicy",
    "PromotionPolicy",
    "RetrainingPolicy",
    "Role",
    "Task",
    "changed_job",
    "deadline_in_words",
    "find_job",
    "is_theirs",
    "kinds_of",
    "load_jobs",
    "new_job",
    "newest_due",
    "parsed_job",
    "place",
    "place_of",
    "ready_at",
    "step_of",
    "steps_of",
    "words_of",
]
