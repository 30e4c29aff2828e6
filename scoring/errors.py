"""Every failure by name, and whether trying again can help.

Each message says what was found, what was expected and what to do next::

    NightshiftError
    ├── Retryable                 heals by itself: try again
    │   ├── SourceUnavailable     the source does not answer, or a night's files are not there yet
    │   ├── WarehouseUnavailable  the warehouse does not answer, or a lock was not granted in time
    │   ├── RegistryUnavailable   the model registry does not answer
    │   ├── NightNotOver          the night has not ended: its rows are not all there
    │   ├── JobBusy               a run or a training of the job is being worked on
    │   └── LakeUnavailable       the lake has no room, or its disk or object store does not answer
    └── Permanent                 somebody has to change something first
        ├── SettingsError         an environment variable is missing or malformed
        ├── JobFileError          jobs/<job>.yaml is not valid
        ├── NightError            no night, or one that is not a date
        ├── NoSuchNight           the timezone has no such day: the night is skipped
        ├── SourceQueryError      the job's SQL does not run
        ├── StageLost             the table in the source with the rows of a shared night is gone, or empty
        ├── ContractError         the SQL's result lacks columns or has the wrong types
        ├── EmptyNight            the SQL returned no rows
        ├── ChampionMissing       no model version was champion at that night
        ├── VersionMissing        the registry has no such version
        ├── PromotionRefused      a version would be champion of nights that it was trained on
        ├── ArtifactMismatch      the artifact's sha256 is not the registered one
        ├── GoldenRowsMismatch    the artifact no longer gives the predictions it gave at training
        ├── DeclarationMismatch   the job file declares other columns than the version was trained with
        ├── PipelineError         the job's pipeline cannot be fitted or stored
        ├── PredictionError       the pipeline's output is not one finite prediction per row
        ├── PipelineNotRowWise    what the pipeline says of a row depends on other rows, the call or the thread
        ├── KeysRepeat            tasks that share a night loaded rows with the same key
        ├── ReconciliationError   counts of extracted, scored, quarantined, loaded rows disagree
        ├── NightHeld             the publish gate refused the night; nothing was published
        ├── LakeRefused           the lake's file system forbids it
        ├── LakeFileMissing       a file of the lake is not there
        ├── LakeFileBroken        a file of the lake cannot be read as what it is
        ├── RunMissing            the ledger has no such run, or it is in the wrong state
        ├── TrainingDataError     the training window cannot give a model
        ├── VersionRefused        a first version misses a floor, or is worse than a constant
        ├── RetrainingRunning     another retraining of the job is not finished
        ├── RetrainingFailed      a task of the retraining failed; nothing was promoted
        └── AlertNotSent          a receiver of alerts refused one
"""

from __future__ import annotations

from datetime import datetime

from scoring.secrets import redact


class NightshiftError(Exception):
    """A failure with a name, and a message that says found, expected and the next step.

    >>> print(EmptyNight("night 2013-04-01 of flight_delay", found="0 rows", expected="at least 1",
    ...                  next_step="check the source"))
    night 2013-04-01 of flight_delay: found 0 rows; expected at least 1. Next: check the source.
    """

    retryable = False

    def __init__(self, what: str, *, found: str = "", expected: str = "", next_step: str = "") -> None:
        facts = "; ".join(
            part for part in (f"found {found}" if found else "", f"expected {expected}" if expected else "") if part
        )
        message = f"{what}: {facts}" if facts else what
        if next_step:
            end = "" if message.endswith("?") else "."
            message = f"{message.rstrip('.')}{end} Next: {next_step.rstrip('.')}."
        super().__init__(redact(message))


def described(error: BaseException) -> str:
    """Return an error's name and message as they are recorded and shown, without secrets.

    >>> described(ValueError("no number"))
    'ValueError: no number'
    """
    return redact(f"{type(error).__name__}: {error}")


class Retryable(NightshiftError):
    """A failure that heals by itself: trying again is right."""

    retryable = True


class Permanent(NightshiftError):
    """A failure that stays until somebody changes something: trying again is wrong.

    A message begins with ``Permanent`` itself where none of the names below fits.
    """


class SourceUnavailable(Retryable):
    """The source does not answer, or a night's files are not there yet."""


class WarehouseUnavailable(Retryable):
    """The warehouse does not answer, or a lock was not granted in time."""


class RegistryUnavailable(Retryable):
    """The model registry does not answer."""


class NightNotOver(Retryable):
    """The night has not ended, so its rows are not all there. ``ends_at`` is its end."""

    ends_at: datetime | None = None

    @classmethod
    def at(cls, what: str, ends_at: datetime, *, found: str, next_step: str) -> NightNotOver:
        """Return the error about a night that ends at ``ends_at``."""
        error = cls(what, found=found, expected=f"a night that is over; it ends at {ends_at}", next_step=next_step)
        error.ends_at = ends_at
        return error


class JobBusy(Retryable):
    """A run or a training of the job is being worked on, or another erasure: its rows would come back, or half of them."""


class LakeUnavailable(Retryable):
    """The lake has no room, or its disk or object store does not answer."""


class SettingsError(Permanent):
    """An environment variable is missing or malformed."""


class JobFileError(Permanent):
    """A job file is not valid. The message names file, path in the file, found and expected."""


class NightError(Permanent):
    """No night was given, one that is not written as a date, or one after the last of the schedule."""


class NoSuchNight(Permanent):
    """The timezone left the day out, as Samoa did with 30 December 2011, so there is nothing to score."""


class SourceQueryError(Permanent):
    """The job's SQL does not run on the source."""


class StageLost(Permanent):
    """The table in the source with the rows of a shared night is gone, or empty, or its files have changed."""


class ContractError(Permanent):
    """The SQL's result lacks columns, or a column has a type that cannot be read as the declared one."""


class EmptyNight(Permanent):
    """The SQL returned no rows for the night."""


class ChampionMissing(Permanent):
    """No model version was champion at that night."""


class VersionMissing(Permanent):
    """The registry has no such model version."""


class PromotionRefused(Permanent):
    """A version would be champion of nights that it was trained on."""


class ArtifactMismatch(Permanent):
    """The artifact's sha256 is not the registered one. It was not unpickled."""


class GoldenRowsMismatch(Permanent):
    """The loaded artifact does not give the predictions that it gave at training."""


class DeclarationMismatch(Permanent):
    """The job file declares features, rules or an outcome that the model version was not trained with."""


class PipelineError(Permanent):
    """The job's pipeline cannot be fitted on the training rows, or a fitted one cannot be stored."""


class PredictionError(Permanent):
    """The pipeline did not give one finite prediction per row."""


class PipelineNotRowWise(Permanent):
    """The pipeline's prediction for a row depends on the rows around it, on the call or on the thread."""


class KeysRepeat(Permanent):
    """Tasks that share a night loaded rows with the same key. Nothing of the later one was kept."""


class ReconciliationError(Permanent):
    """Extracted, scored, quarantined, staged and loaded row counts disagree."""


class NightHeld(Permanent):
    """The publish gate refused the night: the rows are loaded but not visible."""


class LakeRefused(Permanent):
    """The lake's file system forbids an access: no permission, read-only, something else in the way."""


class LakeFileMissing(Permanent):
    """A file of the lake is not there."""


class LakeFileBroken(Permanent):
    """A file of the lake is there, and its content is broken. The message names the command that writes it anew."""


class RunMissing(Permanent):
    """The ledger has no such run, or the run is not in a state that allows this."""


class TrainingDataError(Permanent):
    """The training window cannot give a model."""


class VersionRefused(Permanent):
    """A first version misses a floor or is worse than a constant: it is registered, and no champion."""


class RetrainingRunning(Permanent):
    """Another retraining of the job is not finished."""


class RetrainingFailed(Permanent):
    """A task of the retraining failed. Nothing was promoted."""


class AlertNotSent(Permanent):
    """A receiver of alerts refused one, or its URL is not understood."""
