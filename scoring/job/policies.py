"""The policies in a job file, from training to promotion and limits, each with its defaults."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from scoring.validation import SCHEDULE_PATTERN, Strict


class TrainingPolicy(Strict):
    """How a model version is fitted."""

    window: Literal["sliding", "expanding"] = "sliding"
    """The last ``window_days`` nights, or all since ``schedule.first_night``."""
    window_days: int = Field(default=90, ge=1)
    """Nights of a sliding window."""
    min_rows: int = Field(default=100, ge=1)
    """Rows with an outcome below which nothing is trained."""
    holdout_nights: int = Field(default=14, ge=1)
    """The last nights of the window: scored by a model fitted on the rest, for honest metrics.

    A retraining takes at most half of the nights since the champion's training, so that there is something new to learn.
    """
    calibration: Literal["none", "isotonic", "sigmoid"] = "none"
    """How probabilities are calibrated, on nights that the pipeline was not fitted on."""
    calibration_nights: int = Field(default=14, ge=1)
    """Nights that probabilities are calibrated on."""
    refit: bool = True
    """Whether the version is fitted on the holdout nights too, after a fit without them gave the metrics."""
    max_quarantine_share: float = Field(default=0.05, ge=0, le=1)
    """Share of the window's rows in quarantine above which nothing is trained."""
    reference_rows: int = Field(default=10_000, ge=100)
    """Rows of the sample that a version keeps of its training data, for the report."""


class GatePolicy(Strict):
    """Limits a scored night must keep before it becomes visible."""

    min_rows: int = Field(default=1, ge=0)
    """Rows below which the night is held."""
    max_quarantine_share: float = Field(default=0.05, ge=0, le=1)
    """Share of the night's rows in quarantine above which it is held."""
    max_mean_shift_sd: float = Field(default=1.5, gt=0)
    """How far the night's mean prediction may lie from the reference mean, in reference standard deviations.

    The limit is wider if training nights lay farther, or by ``min_mean_shift``. It is at most ten times the farthest one.
    """
    min_mean_shift: float = Field(default=0.05, ge=0, le=1)
    """A shift of the mean (highest) probability up to which no night is held, at most five times the share of a rare outcome."""


class MonitorPolicy(Strict):
    """How a scored night is compared with others."""

    baseline_nights: int = Field(default=90, ge=5, le=400)
    """Nights of the baseline, the last ones before the night that is compared."""
    alert_ratio: float = Field(default=2.0, gt=1)
    """How many times farther than any night of the baseline a column must lie for an alert on its first night."""
    persistence: tuple[int, int] = (2, 3)
    """A column that is unusual on so many of the last so many nights, this one included, is an alert."""
    report_rows: int = Field(default=5_000, ge=100, le=100_000)
    """Rows of the night, and as many of the reference, that the Evidently page is made of."""
    keep_reports_nights: int = Field(default=400, ge=1)
    """Nights before the newest report whose Evidently pages are kept."""

    @field_validator("persistence")
    @classmethod
    def _some_of_more(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= value[0] <= value[1] <= 30:
            raise ValueError("expected [k, n]: k of the last n nights, 1 <= k <= n <= 30")
        return value


class ExternalTraining(Strict):
    """What trains a version elsewhere and registers it. One of the two."""

    dag: str | None = Field(default=None, min_length=1, pattern=r"^[\w.-]+$")
    """A DAG of the same Airflow; its ``conf`` says job, retraining and night."""
    url: str | None = Field(default=None, pattern=r"^https?://")
    """A URL that gets a POST with the same as JSON. It is asked once; what it answers is not waited for."""

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if (self.dag is None) == (self.url is None):
            raise ValueError("found dag and url, or neither, expected one of the two")
        return self


class RetrainingPolicy(Strict):
    """When the governor has a new version trained."""

    enabled: bool = True
    """Whether the governor may have versions trained at all."""
    cooldown_nights: int = Field(default=7, ge=1)
    """Nights that must lie between two retrainings."""
    cost: float | None = Field(default=None, ge=0)
    """What a retraining costs, in units of the loss times rows: a newer version has to spare more until the next one. Default: as
    many times ``promotion.min_gain`` of a night's loss as it takes times the seconds of scoring a night."""
    budget: int = Field(default=5, ge=0)
    """Retrainings in any 30 nights."""
    min_new_labelled_nights: int = Field(default=7, ge=1)
    """Nights with matured labels since the champion's training window ended."""
    max_age_nights: int | None = Field(default=14, ge=1)
    """Nights without a retraining after which a version is trained, or null for never."""
    performance_nights: int = Field(default=28, ge=3)
    """Nights with measured performance, the last ones, that are compared with the holdout of training."""
    max_loss: float = Field(default=0.02, ge=0)
    """Rise of the loss that is accepted, as a share of the loss at training."""
    drift_weight: float = Field(default=0.2, gt=0, le=1)
    """Share of the model's feature importance that must have drifted for a retraining without labels."""
    schedule: str | None = Field(default=None, pattern=SCHEDULE_PATTERN)
    """Cron expression of scheduled retrainings, in the job's timezone, or null for none."""
    external: ExternalTraining | None = None
    """What is asked for a version in place of training one here: a DAG or a URL that ends with ``nightshift register``."""


class PromotionPolicy(Strict):
    """When a challenger becomes champion, and which versions score in the shadow before and after that."""

    promote: Literal["gate", "shadow", "human"] = "gate"
    """Once the gate was passed: at once, after nights in the shadow, or when a person says so."""
    evidence: Literal["recipe", "better", "not_worse"] = "recipe"
    """``recipe``: the interval of the challenger's own gain lies above 0, or what every refit so far has gained makes more than
    ``min_gain`` probable. ``better``: the interval lies above ``min_gain``. ``not_worse``: it reaches above 0."""
    probability: float = Field(default=0.8, ge=0.5, lt=1)
    """How probable a gain of more than ``min_gain`` must be, with ``evidence: recipe``. Raising it makes promotions rarer."""
    min_gain: float = Field(default=0.0015, ge=0, lt=1)
    """Smallest gain that matters, as a share of the champion's loss."""
    max_creep: float = Field(default=0.01, ge=0)
    """How much worse than the last champion that was proven to be better the challenger may be expected to be, as a share of the
    champion's loss: many ties must not add up."""
    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    """Confidence of the gain's interval, which has two ends. Raising it makes promotions rarer."""
    min_nights: int = Field(default=7, ge=2)
    """Holdout nights that neither version has seen, for any comparison to count."""
    max_calibration_loss: float = Field(default=0.02, ge=0)
    """How much larger the challenger's calibration error may be, as a probability."""
    segments: list[str] = Field(default_factory=list)
    """Category features whose every value is compared by itself, from 200 rows on."""
    max_segment_loss: float = Field(default=0.05, ge=0)
    """How much larger the loss of a segment may be, as a share of the champion's."""
    max_latency_ratio: float = Field(default=2.0, gt=0)
    """How many times as long as the champion the challenger may take to predict."""
    max_size_ratio: float = Field(default=5.0, gt=0)
    """How many times as large as the champion's the challenger's artifact may be."""
    floors: dict[str, float] = Field(default_factory=dict)
    """Metrics that the first version must reach on the holdout: at least, or at most where smaller is better."""
    shadow_nights: int = Field(default=7, ge=1, le=90)
    """Nights that a challenger scores in the shadow under ``promote: shadow``."""
    predecessor_nights: int = Field(default=14, ge=0, le=90)
    """Nights that the predecessor goes on scoring in the shadow. If it does better it becomes champion again."""
    approval_hours: float = Field(default=48, gt=0, le=8_760)
    """Hours that ``promote: human`` waits for a person. Without an answer nothing is promoted."""


class ChallengerPolicy(Strict):
    """Which version answers for some of the keys in the champion's place, on demand; never at night."""

    share: float = Field(ge=0, le=1)
    """Share of the keys, 0 to 1, that it answers for. A key stays on its side as long as the version does."""
    version: int | None = Field(default=None, ge=1)
    """Number of the version. Default: the registry's challenger, nobody while there is none."""


class ServePolicy(Strict):
    """Which versions answer on demand beside the champion."""

    challenger: ChallengerPolicy | None = None
    """Another version that answers for a share of the keys."""
    shadow: bool = False
    """Whether the challenger also scores, after they were answered, the rows that the champion answers for."""


class LimitsPolicy(Strict):
    """What one run may use."""

    retries: int = Field(default=3, ge=0, le=20)
    """Times that Airflow tries a task again after a failure that can heal."""
    retry_delay_seconds: int = Field(default=60, ge=0, le=86_400)
    """Seconds between a failure and the next try."""
    task_timeout_minutes: int = Field(default=60, ge=1, le=43_200)
    """Minutes after which a task is ended as failed."""
    late_after_minutes: int | None = Field(default=180, ge=1, le=43_200)
    """Minutes after its end when a night that is not published is late, or null for never. Without effect where
    ``schedule.ready_by`` is set."""
    poke_seconds: int = Field(default=300, ge=3)
    """How often a retraining looks whether its challenger's nights in the shadow are over."""
    parallel_nights: int = Field(default=2, ge=1)
    """Nights of the job that are scored side by side, in a backfill for example."""
    parallel_chunks: int = Field(default=2, ge=1)
    """Chunks of a night that are scored side by side."""
    executor: str | None = Field(default=None, min_length=1)
    """Executor of the tasks ``extract``, ``score`` and ``publish``, and of ``train`` of a retraining: a name in Airflow's
    ``[core] executor``, such as ``KubernetesExecutor``. Default: the first of them."""
