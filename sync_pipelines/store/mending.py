"""Something that may have been the reason of failures was changed: what failed is due at once, as if it never had."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection as Database
from sqlalchemy import text

_AS_NEW = """
    error_since = NULL, error_type = NULL, error_message = '', failing_since = NULL, nothing_since = NULL,
    attempts = 0,
    retry_at = NULL, retry_objects = NULL, retry_full = false,
    scheduled_at = CASE WHEN scheduled_at IS NOT NULL THEN CAST(:now AS timestamptz) END
"""
"""A sync that has no schedule still waits to be asked."""

_OF_SYNCS = text(
    f"UPDATE due SET {_AS_NEW} WHERE sync = ANY(:syncs) AND attempts > 0 AND claim_id IS NULL"  # noqa: S608
)
_OF_CUSTOMER = text(
    f"""
    UPDATE due SET {_AS_NEW}
    FROM planned
    WHERE planned.sync = due.sync AND planned.provider = :provider AND due.customer_id = :customer
      AND attempts > 0 AND claim_id IS NULL
    """  # noqa: S608 - no value enters the text
)
_ALL_OF_CONNECTION = text(f"UPDATE due SET {_AS_NEW} WHERE connection_id = :connection")  # noqa: S608


def mend_syncs(database: Database, syncs: Sequence[str], now: datetime) -> None:
    """The configuration of these syncs is another one."""
    database.execute(_OF_SYNCS, {"syncs": list(syncs), "now": now})


def mend_customer(database: Database, customer_id: str, provider: str, now: datetime) -> None:
    """This customer's mapping is another one."""
    database.execute(_OF_CUSTOMER, {"customer": customer_id, "provider": provider, "now": now})


def mend_connection(database: Database, connection_id: int, now: datetime) -> None:
    """The customer connected anew: all of its work runs now, failed or not."""
    database.execute(_ALL_OF_CONNECTION, {"connection": connection_id, "now": now})
