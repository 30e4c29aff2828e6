"""What Airflow tries again, and when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from airflow.sdk import Context
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction, RetryDecision, RetryRule

from scoring.errors import NightNotOver, Permanent, Retryable

LONGEST_WAIT = timedelta(hours=26)
"""How long a run waits for its night to end, at most. The longest night has 25 hours."""
AFTER_THE_END = timedelta(minutes=1)
"""Added to the end of a night before it is tried again: more than workers' clocks differ."""


class PatientRetryPolicy(ExceptionRetryPolicy):
    """Retries errors that can heal, and a night that is not over after its end. Fails at once on other errors."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        """Use ``clock`` to tell how long a night still lasts."""
        self._clock = clock
        permanent = RetryRule(Permanent, RetryAction.FAIL, reason="somebody has to change something first")
        super().__init__([permanent, RetryRule(Retryable, RetryAction.RETRY, reason="heals by itself")])

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Return whether to try again, and when."""
        if not isinstance(exception, NightNotOver) or exception.ends_at is None:
            return super().evaluate(exception, try_number, max_tries, context)
        wait = exception.ends_at - self._clock() + AFTER_THE_END
        if wait > LONGEST_WAIT:
            return RetryDecision.fail(f"the night ends at {exception.ends_at}: too far ahead to wait for")
        return RetryDecision.retry(max(wait, AFTER_THE_END), f"the night ends at {exception.ends_at}")
