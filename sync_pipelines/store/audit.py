"""Who changed what. Entries are written in the transaction of the change they tell of, and never hold a secret."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection as Database
from sqlalchemy import Engine, insert, select

from sync_pipelines.store.storable import storable_json
from sync_pipelines.store.tables import audit


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """`subject` is what was changed, such as `connection acme/salesforce`; `old` and `new` hold what differs.
    `customers`: whom it is about; nobody in particular where it is empty."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None
    customers: Sequence[str]


class Audit:
    """Reads the entries."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(
        self,
        subject: str | None = None,
        limit: int = 100,
        *,
        actor: str | None = None,
        action: str | None = None,
        customer_id: str | None = None,
        before: int | None = None,
    ) -> Sequence[AuditEntry]:
        """Newest first, those that match everything given. `customer_id`: about this customer, be it among others.
        `before`: older than the entry of this id."""
        query = select(audit).order_by(audit.c.id.desc()).limit(limit)
        for column, wanted in ((audit.c.subject, subject), (audit.c.actor, actor), (audit.c.action, action)):
            if wanted is not None:
                query = query.where(column == wanted)
        if customer_id is not None:
            query = query.where(audit.c.customers.contains([customer_id]))
        if before is not None:
            query = query.where(audit.c.id < before)
        with self._engine.connect() as database:
            return [AuditEntry(**row) for row in database.execute(query).mappings()]


def note(
    database: Database,
    *,
    actor: str,
    action: str,
    subject: str,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
    customers: Iterable[str | None] = (),
) -> None:
    """Add one entry to the transaction that is under way. `customers`: whom it is about, without None."""
    entry = {"actor": actor, "action": action, "subject": subject, "old": storable_json(old), "new": storable_json(new)}
    whom = sorted({each for each in customers if each is not None})
    database.execute(insert(audit).values(**entry, customers=whom))
