"""What a job predicts: a yes or no, one of several classes, or a number.

The differences between tasks that need no arrays stand here. Other modules have tables with an entry per task, so that a
new task is one class here and one entry in each table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, GetCoreSchemaHandler, PlainSerializer

from scoring.names import class_column

TaskName = Literal["binary", "multiclass", "regression", "score"]


@dataclass(frozen=True)
class Task:
    """One kind of prediction, with its words for messages and pages. Job files write its name."""

    name: ClassVar[TaskName]
    classifies: ClassVar[bool] = True
    """Whether predictions are classes with probabilities. Otherwise they are numbers."""
    estimator: ClassVar[Literal["classifier", "regressor"]] = "classifier"
    """The kind of scikit-learn estimator that is the last step of a pipeline for the task."""
    loss: ClassVar[str] = "log loss"
    """Name of the loss by which versions are compared on the same rows. Smaller is better."""
    loss_unit: ClassVar[str] = "nats"
    loss_metric: ClassVar[str] = "log_loss"
    """The metric that is the mean of the loss."""
    primary_metric: ClassVar[str] = "excess_log_loss"
    """The metric of a version over time. Smaller is better. The log loss itself would follow the share of positives."""
    constant: ClassVar[str] = "base rate"
    """Name of the constant prediction that needs no features. A first version must do no worse."""
    number: ClassVar[str] = "probability"
    """Name of the number in which two predictions of a row are compared."""
    number_unit: ClassVar[str] = "probability"
    main_column: ClassVar[str] = "prediction"
    """The prediction's column where only one can be used, as in a profile."""
    label_settings: ClassVar[frozenset[str]] = frozenset()
    """The settings of ``label`` that this task has and some other task has not."""
    least_classes: ClassVar[int] = 0
    """Least number of classes in ``label.classes``."""
    methods: ClassVar[tuple[str, ...]] = ("predict",)
    """Methods of a fitted pipeline, the first of which it has gives its number."""
    has_outcome: ClassVar[bool] = True
    """Whether there is an outcome to compare predictions with."""

    @property
    def has_positive(self) -> bool:
        """Return whether one of two outcomes counts as positive."""
        return "positive" in self.label_settings

    def outcomes(self, declared: Sequence[str]) -> list[Any]:
        """Return every possible outcome, given ``label.classes``, or an empty list for numbers."""
        return []

    def fitted_classes(self, declared: Sequence[str]) -> list[Any]:
        """Return the ``classes_`` of a pipeline that was fitted on outcomes of every class."""
        return sorted(self.outcomes(declared))

    def probability_columns(self, declared: Sequence[str]) -> list[str]:
        """Return the probability columns of a prediction."""
        return []

    def __str__(self) -> str:
        return self.name

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """Return how pydantic reads a task from its name, and writes it as its name."""
        named = Annotated[TaskName, AfterValidator(_BY_NAME.__getitem__), PlainSerializer(str, return_type=str)]
        return handler.generate_schema(named)


class Binary(Task):
    """A yes or no, with the probability of yes."""

    name = "binary"
    main_column = "probability"
    label_settings = frozenset({"threshold", "positive"})

    def outcomes(self, declared: Sequence[str]) -> list[Any]:
        """Return false and true."""
        return [False, True]

    def fitted_classes(self, declared: Sequence[str]) -> list[Any]:
        """Return 0 and 1, as pipelines are fitted on them."""
        return [0, 1]

    def probability_columns(self, declared: Sequence[str]) -> list[str]:
        """Return the column of the probability of true."""
        return ["probability"]


class Multiclass(Task):
    """One of several classes, with the probability of each."""

    name = "multiclass"
    label_settings = frozenset({"classes"})
    least_classes = 3

    def outcomes(self, declared: Sequence[str]) -> list[Any]:
        """Return the classes in the order in which they are declared."""
        return list(declared)

    def probability_columns(self, declared: Sequence[str]) -> list[str]:
        """Return a column for each class, in the order in which they are declared."""
        return [class_column(name) for name in declared]


class _Number(Task):
    """A number, whether or not there is an outcome to compare it with."""

    classifies = False
    estimator = "regressor"
    loss = "mean absolute error"
    loss_unit = "unit of the label"
    loss_metric = "mae"
    primary_metric = "mae"
    constant = "mean"
    number = "predicted value"
    number_unit = "unit of the label"


class Regression(_Number):
    """A number that an outcome is compared with."""

    name = "regression"


class Score(_Number):
    """A number that has no outcome, such as how unusual a row is: it is watched, and nothing says whether it was right."""

    name = "score"
    number = "score"
    number_unit = "unit of the score"
    methods = ("score_samples", "decision_function", "predict", "transform")
    has_outcome = False


BINARY, MULTICLASS, REGRESSION, SCORE = Binary(), Multiclass(), Regression(), Score()
TASKS: tuple[Task, ...] = (BINARY, MULTICLASS, REGRESSION, SCORE)
_BY_NAME: dict[str, Task] = {task.name: task for task in TASKS}
PRIMARY_METRICS = tuple(dict.fromkeys(task.primary_metric for task in TASKS))
"""The metrics that versions of some task are judged by."""


def tasks_with(setting: str) -> str:
    """Return the names of the tasks that have a setting of ``label``.

    >>> tasks_with("classes")
    'multiclass'
    """
    return " or ".join(task.name for task in TASKS if setting in task.label_settings)
