"""Customers' field mappings: every version is kept, none is ever changed."""

from collections.abc import Callable, Sequence
from collections.abc import Mapping as MappingOf
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, RowMapping, Select, func, insert, select, text
from sqlalchemy.dialects.postgresql import distinct_on

from sync_pipelines.config.rules import rules_from, written_rules
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.event import MAPPING_CHANGED, Event
from sync_pipelines.model.mapping import Mapping
from sync_pipelines.store import events
from sync_pipelines.store.audit import note
from sync_pipelines.store.gathering import gather
from sync_pipelines.store.mending import mend_customer
from sync_pipelines.store.tables import mappings

_COLUMNS = [
    mappings.c[name] for name in ("customer_id", "provider", "object", "version", "fields", "actor", "saved_at")
]

_COUNTED = text(
    """
    SELECT field, count(*)
    FROM (
        SELECT DISTINCT ON (customer_id) fields FROM mappings
        WHERE provider = :provider AND object = :object
          AND (CAST(:customers AS text[]) IS NULL OR customer_id = ANY(:customers))
        ORDER BY customer_id, version DESC
    ) AS newest
    CROSS JOIN LATERAL jsonb_object_keys(newest.fields) AS field
    GROUP BY field
    """
)


def as_it_is(provider: str, object: str) -> str:
    """For a store that knows no vendors: an object's name is what it is called."""
    return object


class MappingMoved(ConfigurationError):
    """Somebody else saved a version meanwhile."""


class Mappings:
    """By customer, provider and object; the object by any of its names, whatever their case."""

    def __init__(self, engine: Engine, object_name: Callable[[str, str], str] = as_it_is) -> None:
        """`object_name`: the vendor's own name of a provider's object, under which its mappings are kept."""
        self._engine = engine
        self._object_name = object_name

    def gather(self) -> None:
        """Bring together what was kept under other names of an object."""
        gather(self._engine, self._object_name)

    def current(self, customer_id: str, provider: str, object: str) -> Mapping | None:
        """The newest version, None where the customer never mapped anything."""
        found = self._read(self._versions(customer_id, provider, object).limit(1), object)
        return found[0] if found else None

    def current_of(
        self, provider: str, objects: Sequence[str], customers: Sequence[str]
    ) -> dict[tuple[str, str], Mapping]:
        """The newest versions of many at once, by (customer, object as it was asked for)."""
        spelled: dict[str, list[str]] = {}
        for name in dict.fromkeys(objects):
            spelled.setdefault(self._kept_as(provider, name), []).append(name)
        newest = (
            select(*_COLUMNS)
            .ext(distinct_on(mappings.c.customer_id, mappings.c.object))
            .where(
                mappings.c.provider == provider,
                mappings.c.object == func.any(list(spelled)),
                mappings.c.customer_id == func.any(list(customers)),
            )
            .order_by(mappings.c.customer_id, mappings.c.object, mappings.c.version.desc())
        )
        with self._engine.connect() as database:
            rows = database.execute(newest).mappings().all()
        return {(row["customer_id"], name): _mapping(row, name) for row in rows for name in spelled[row["object"]]}

    def counted(self, provider: str, object: str, customers: Sequence[str] | None = None) -> dict[str, int]:
        """By field, how many customers have a rule of their own for it now. `customers`: among these alone."""
        values = {
            "provider": provider,
            "object": self._kept_as(provider, object),
            "customers": customers and list(customers),
        }
        with self._engine.connect() as database:
            return {str(name): int(count) for name, count in database.execute(_COUNTED, values)}

    def history(self, customer_id: str, provider: str, object: str) -> list[Mapping]:
        """All versions, newest first."""
        return self._read(self._versions(customer_id, provider, object), object)

    def saved_since(self, provider: str, object: str, moment: datetime) -> list[str]:
        """Customers of whom a version was saved after a moment of the store's clock."""
        query = (
            select(mappings.c.customer_id)
            .distinct()
            .where(
                mappings.c.provider == provider,
                mappings.c.object == self._kept_as(provider, object),
                mappings.c.saved_at > moment,
            )
        )
        with self._engine.connect() as database:
            return list(database.execute(query).scalars())

    def version(self, customer_id: str, provider: str, object: str, version: int | None = None) -> Mapping:
        """One version, the one before the newest where none is named. ConfigurationError where there is none such."""
        known = self.history(customer_id, provider, object)
        found = known[1:2] if version is None else [each for each in known if each.version == version]
        if not found:
            numbers = ", ".join(str(each.version) for each in known) or "none"
            wanted = "before the newest one" if version is None else f"{version}"
            raise ConfigurationError(
                f"The mapping of {customer_id}, {provider} {object} has no version {wanted}. There are: {numbers}."
            )
        return found[0]

    def save(
        self,
        customer_id: str,
        provider: str,
        object: str,
        fields: MappingOf[str, Any],
        *,
        actor: str = "system",
        action: str = "map",
        expected: int | None = None,
    ) -> Mapping:
        """A new version with these rules, each a FieldRule or its written form; the current one as it is when it has
        the same rules already. ConfigurationError when one is no rule. `action`: what the audit calls it.

        `expected`: the version that the caller has read (0: none); MappingMoved when it is not the newest any more.
        """
        rules = rules_from(fields)
        who = {"customer_id": customer_id, "provider": provider, "object": self._kept_as(provider, object)}
        with self._engine.begin() as database:
            # Two savers at once would both take the next number.
            lock = f"mapping {customer_id} {provider} {who['object']}"
            database.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))"), {"lock": lock})
            query = self._versions(customer_id, provider, object).limit(1)
            row = database.execute(query).mappings().one_or_none()
            old = _mapping(row, object) if row else None
            _refuse_moved(old, expected)
            if old is not None and old.fields == rules:
                return old
            version = old.version + 1 if old else 1
            made = insert(mappings).values(**who, version=version, fields=written_rules(rules), actor=actor)
            saved = _mapping(database.execute(made.returning(*_COLUMNS)).mappings().one(), object)
            mend_customer(database, customer_id, provider, datetime.now(UTC))
            note(
                database,
                actor=actor,
                action=action,
                subject=f"mapping {customer_id}/{provider}/{object.casefold()}",
                old=_told(old) if old else None,
                new={"version": version, "fields": written_rules(rules)},
                customers=[customer_id],
            )
            events.add(database, _changed(saved, old, actor))
        return saved

    def _read(self, query: Select[Any], object: str) -> list[Mapping]:
        with self._engine.connect() as database:
            return [_mapping(row, object) for row in database.execute(query).mappings()]

    def _versions(self, customer_id: str, provider: str, object: str) -> Select[Any]:
        return (
            select(*_COLUMNS)
            .where(
                mappings.c.customer_id == customer_id,
                mappings.c.provider == provider,
                mappings.c.object == self._kept_as(provider, object),
            )
            .order_by(mappings.c.version.desc())
        )

    def _kept_as(self, provider: str, object: str) -> str:
        return self._object_name(provider, object).casefold()


def _refuse_moved(newest: Mapping | None, expected: int | None) -> None:
    version = newest.version if newest else 0
    if expected is not None and version != expected:
        raise MappingMoved(f"The mapping has moved on to version {version}: read it again, and decide anew.")


def _mapping(row: RowMapping, object: str) -> Mapping:
    """Under the name by which it was asked for."""
    return Mapping(**{**row, "object": object.casefold(), "fields": rules_from(row["fields"])})


def _told(mapping: Mapping) -> dict[str, Any]:
    return {"version": mapping.version, "fields": written_rules(mapping.fields)}


def _changed(new: Mapping, old: Mapping | None, actor: str) -> Event:
    subject = {"object": new.object, "version": new.version, "old_version": old.version if old else None}
    return Event(
        type=MAPPING_CHANGED,
        customer_id=new.customer_id,
        provider=new.provider,
        subject={**subject, "actor": actor},
    )
