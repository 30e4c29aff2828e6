"""The policies in a job file (training, publish gate, monitoring, retraining, limits) and of what is kept, with defaults."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Strict(BaseModel):
    """Settings that are frozen and refuse unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Training(Strict):
    """How a model version is fitted."""

    window_days: int = Field(default=90, ge=1)
    min_rows: int = Field(default=100, ge=1)
    holdout_nights: int = Field(default=14, ge=1)
    """The last nights of the window: scored by a model fitted on the rest, for honest metrics."""
    reference_rows: int = Field(default=10_000, ge=100)


class Gate(Strict):
    """Limits a scored night must keep before it becomes visible."""

    min_rows: int = Field(default=1, ge=0)
    max_quarantine_share: float = Field(default=0.05, ge=0, le=1)
    max_mean_shift_sd: float = Field(default=1.5, gt=0)
    """How far the night's mean prediction may lie from the reference mean, in reference standard deviations."""


class Monitor(Strict):
    """How a scored night is compared with others."""

    baseline_nights: int = Field(default=90, ge=5, le=400)
    """The last nights that say what is normal."""
    alert_ratio: float = Field(default=2.0, gt=1)
    """How many times farther than any night of the baseline a column must lie for an alert on its first night."""
    persistence: tuple[int, int] = (2, 3)
    """A column that is unusual on so many of the last so many nights, this one included, is an alert."""
    report_rows: int = Field(default=5_000, ge=100, le=100_000)
    """Rows that the Evidently report is made of, on either side."""
    keep_reports_nights: int = Field(default=400, ge=1)

    @field_validator("persistence")
    @classmethod
    def _some_of_more(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= value[0] <= value[1] <= 30:
            raise ValueError("persistence is [k, n]: k of the last n nights, 1 <= k <= n <= 30")
        return value


class Retraining(Strict):
    """When the governor has a new version trained; the defaults need no tuning."""

    enabled: bool = True
    cooldown_nights: int = Field(default=14, ge=1)
    """Nights between two retrainings."""
    budget: int = Field(default=3, ge=0)
    """Retrainings in any 30 nights."""
    min_new_labelled_nights: int = Field(default=7, ge=1)
    """Nights with matured labels since the champion's training window ended."""
    max_age_nights: int | None = Field(default=120, ge=1)
    """When nothing was trained for longer than this, a version is trained anew; null for never."""
    performance_nights: int = Field(default=28, ge=3)
    """The last measured nights that are compared with the holdout of training."""
    max_loss: float = Field(default=0.02, ge=0)
    """Loss of performance that is accepted, as a share of the loss at training."""
    drift_weight: float = Field(default=0.2, gt=0, le=1)
    """Share of the model's importance that must have drifted for a retraining without labels."""


class Limits(Strict):
    """What one run may use."""

    retries: int = Field(default=3, ge=0, le=20)
    retry_delay_seconds: int = Field(default=60, ge=0)
    task_timeout_minutes: int = Field(default=60, ge=1)
    late_after_minutes: int | None = Field(default=180, ge=1)
    """Minutes after which a scheduled night that is not finished is late; null for never."""
    parallel_nights: int = Field(default=2, ge=1)
    parallel_chunks: int = Field(default=2, ge=1)


class Retention(Strict):
    """How long an installation keeps what nothing points at any more; nothing is removed unless ``apply`` says so."""

    superseded_days: int = Field(default=30, ge=1)
    """Days after a run was replaced as the published one, or ended without becoming it."""
    failed_days: int = Field(default=30, ge=1)
    """Days after a run failed, was abandoned, discarded or skipped."""
    shadow_days: int = Field(default=180, ge=1)
    """Days that predictions of a version that only shadows the champion are kept."""
    version_days: int = Field(default=180, ge=1)
    """Days after a model version was trained."""
    versions_kept: int = Field(default=10, ge=1)
    """The newest versions of a job, which stay whatever their age."""
    snapshot_days: int = Field(default=90, ge=1)
    """Days after a training snapshot was made."""
    apply: bool = False
    """What the scheduled DAG does: remove, or only say what would be removed."""
