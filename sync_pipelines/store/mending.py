"""Something that may have been the reason of failures was changed: what failed is due at once, as if it never had."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection as Database
from sqlalchemy import text

_AS_NEW = """
    error_since = NULL, error_type = NULL, error_message = '', failing_since = NULL, nothing_since = NULL,
    attempts = 0,
    retry_at = CASE WHEN retry_full OR scheduled_at IS NULL AND retry_at IS NOT NULL THEN CAST(:now AS timestamptz) END,
    retry_objects = CASE WHEN retry_full OR scheduled_at IS NULL THEN retry_objects END,
    scheduled_at = CASE WHEN scheduled_at IS NOT NULL THEN CAST(:now AS timestamptz) END
"""
"""The schedule's work does that of an ordinary retry too. A sync without a schedule that waits for no retry still
waits to be asked."""

_AT_WORK = "mended_at = CAST(:now AS timestamptz)"
"""Whoever works on it began with what was there before: see `rescheduled`."""

_OF_CUSTOMER = """
    FROM planned
    WHERE planned.sync = due.sync AND planned.provider = :provider AND due.customer_id = :customer
"""

_MEND_SYNCS = (
    text(f"UPDATE due SET {_AS_NEW} WHERE sync = ANY(:syncs) AND attempts > 0 AND claim_id IS NULL"),  # noqa: S608
    text(f"UPDATE due SET {_AT_WORK} WHERE sync = ANY(:syncs) AND claim_id IS NOT NULL"),  # noqa: S608
)
_MEND_CUSTOMER = (
    text(f"UPDATE due SET {_AS_NEW} {_OF_CUSTOMER} AND attempts > 0 AND claim_id IS NULL"),  # noqa: S608
    text(f"UPDATE due SET {_AT_WORK} {_OF_CUSTOMER} AND claim_id IS NOT NULL"),  # noqa: S608
)
_MEND_CONNECTION = (
    text(f"UPDATE due SET {_AS_NEW} WHERE connection_id = :connection"),  # noqa: S608
    text(f"UPDATE due SET {_AT_WORK} WHERE connection_id = :connection AND claim_id IS NOT NULL"),  # noqa: S608
)


def mend_syncs(database: Database, syncs: Sequence[str], now: datetime) -> None:
    """The configuration of these syncs is another one."""
    for change in _MEND_SYNCS:
        database.execute(change, {"syncs": list(syncs), "now": now})


def mend_customer(database: Database, customer_id: str, provider: str, now: datetime) -> None:
    """This customer's mapping is another one."""
    for change in _MEND_CUSTOMER:
        database.execute(change, {"customer": customer_id, "provider": provider, "now": now})


def mend_connection(database: Database, connection_id: int, now: datetime) -> None:
    """The customer connected anew: all of its work runs now, failed or not."""
    for change in _MEND_CONNECTION:
        database.execute(change, {"connection": connection_id, "now": now})
