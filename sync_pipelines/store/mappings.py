"""Customers' field mappings: every version is kept, none is ever changed."""

import unicodedata
from collections.abc import Mapping as MappingOf
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, RowMapping, Select, insert, select, text

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import Mapping
from sync_pipelines.store.audit import note
from sync_pipelines.store.mending import mend_customer
from sync_pipelines.store.tables import mappings

_COLUMNS = [mappings.c[name] for name in ("customer_id", "provider", "object", "version", "fields")]


class Mappings:
    """By customer, provider and object; the object's name is the one that the sync gives it, whatever its case."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def current(self, customer_id: str, provider: str, object: str) -> Mapping | None:
        """The newest version, None where the customer never mapped anything."""
        found = self._read(_versions(customer_id, provider, object).limit(1))
        return found[0] if found else None

    def history(self, customer_id: str, provider: str, object: str) -> list[Mapping]:
        """All versions, newest first."""
        return self._read(_versions(customer_id, provider, object))

    def save(
        self, customer_id: str, provider: str, object: str, fields: MappingOf[str, str], *, actor: str = "system"
    ) -> Mapping:
        """A new version with these rules; the current one as it is when it has the same rules already."""
        rules = dict(fields)
        for name in (*rules, *rules.values()):
            if not name or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
                raise ConfigurationError("A mapping's field names must be texts without control characters.")
        who = {"customer_id": customer_id, "provider": provider, "object": object.casefold()}
        with self._engine.begin() as database:
            # Two savers at once would both take the next number.
            lock = f"mapping {customer_id} {provider} {who['object']}"
            database.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))"), {"lock": lock})
            row = database.execute(_versions(customer_id, provider, object).limit(1)).mappings().one_or_none()
            old = _mapping(row) if row else None
            if old is not None and old.fields == rules:
                return old
            version = old.version + 1 if old else 1
            database.execute(insert(mappings).values(**who, version=version, fields=rules, actor=actor))
            mend_customer(database, customer_id, provider, datetime.now(UTC))
            note(
                database,
                actor=actor,
                action="map",
                subject=f"mapping {customer_id}/{provider}/{who['object']}",
                old=_told(old) if old else None,
                new={"version": version, "fields": rules},
            )
        return Mapping(**who, version=version, fields=rules)

    def _read(self, query: Select[Any]) -> list[Mapping]:
        with self._engine.connect() as database:
            return [_mapping(row) for row in database.execute(query).mappings()]


def _versions(customer_id: str, provider: str, object: str) -> Select[Any]:
    return (
        select(*_COLUMNS)
        .where(
            mappings.c.customer_id == customer_id,
            mappings.c.provider == provider,
            mappings.c.object == object.casefold(),
        )
        .order_by(mappings.c.version.desc())
    )


def _mapping(row: RowMapping) -> Mapping:
    return Mapping(**row)


def _told(mapping: Mapping) -> dict[str, Any]:
    return {"version": mapping.version, "fields": dict(mapping.fields)}
