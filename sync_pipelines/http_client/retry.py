"""Which failures are tried again on the spot, and after how long."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from sync_pipelines.model.errors import Retry, Stopped, Wait

LONGEST_WAIT: Final = timedelta(minutes=2)
"""A vendor that asks for more gets its connection rescheduled instead of a thread that sleeps."""

_backoff = wait_exponential_jitter(multiplier=0.5, max=30, jitter=0.5)


def retrying(attempts: int, sleep: Callable[[float], None]) -> Retrying:
    """Runs a call up to `attempts` times; the last error comes out as it is."""
    return Retrying(
        stop=stop_after_attempt(attempts),
        wait=_seconds_before_next,
        retry=retry_if_exception(_worth_another),
        sleep=sleep,
        reraise=True,
    )


def _worth_another(error: BaseException) -> bool:
    if isinstance(error, Wait):
        return error.until is None or error.until - datetime.now(UTC) <= LONGEST_WAIT
    return isinstance(error, Retry) and not isinstance(error, Stopped)


def _seconds_before_next(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Wait) and error.until is not None:
        return max(0.0, (error.until - datetime.now(UTC)).total_seconds())
    return _backoff(state)
