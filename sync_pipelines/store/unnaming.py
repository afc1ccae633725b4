"""Takes a customer's id out of what is about several customers: syncs made by API, requests, entries of the audit."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection as Database
from sqlalchemy import bindparam, func, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

from sync_pipelines.store.api_sync_tables import api_sync_versions, api_syncs
from sync_pipelines.store.api_syncs import Changing, lock_api_syncs
from sync_pipelines.store.planning import lock_plan
from sync_pipelines.store.tables import audit, planned, requests

_PLACES: Final = (["customers"], ["document", "customers"], ["document", "overrides"])
"""Where an entry of the audit names customers that it is about, in an array or as keys."""

_ENTRIES: Final = text(
    """
    UPDATE audit SET
        old = CASE WHEN jsonb_typeof(old #> :place) IN ('array', 'object') AND jsonb_exists(old #> :place, :customer)
            THEN jsonb_set(old, :place, (old #> :place) - :customer) ELSE old END,
        new = CASE WHEN jsonb_typeof(new #> :place) IN ('array', 'object') AND jsonb_exists(new #> :place, :customer)
            THEN jsonb_set(new, :place, (new #> :place) - :customer) ELSE new END
    WHERE customers @> ARRAY[CAST(:customer AS text)]
    """
).bindparams(bindparam("place", type_=ARRAY(Text)))


_VERSIONS_FOR_IT_ALONE: Final = text(
    """
    DELETE FROM api_sync_versions
    WHERE jsonb_typeof(document::jsonb -> 'customers') = 'array'
        AND jsonb_exists(document::jsonb -> 'customers', :customer)
        AND (document::jsonb -> 'customers') - :customer = '[]'
    """
)
_VERSIONS: Final = text(
    """
    UPDATE api_sync_versions
    SET document = jsonb_set(document::jsonb, :place, (document::jsonb #> :place) - :customer)::json
    WHERE jsonb_typeof(document::jsonb #> :place) IN ('array', 'object')
        AND jsonb_exists(document::jsonb #> :place, :customer)
    """
).bindparams(bindparam("place", type_=ARRAY(Text)))


def lock_syncs(database: Database) -> None:
    """Before anything of them is locked: nobody makes, changes or plans syncs until the transaction ends."""
    lock_api_syncs(database)
    lock_plan(database)


def take_out(database: Database, customer_id: str, *, declared: Collection[str], actor: str) -> Mapping[str, int]:
    """In the transaction under way, after `lock_syncs`; by table, how many syncs and versions went as they were for
    this customer alone.

    One that names nobody would be for everybody. `declared`: syncs of the files, which own the plan of their names.
    """
    gone = {api_syncs.name: _syncs(database, customer_id, declared, actor)}
    gone[api_sync_versions.name] = _versions(database, customer_id)
    shared = update(requests).where(requests.c.customers.contains([customer_id]))
    without = func.array_remove(requests.c.customers, customer_id)
    database.execute(shared.values(customers=without, key=None, key_mark=None))
    for place in _PLACES:
        database.execute(_ENTRIES, {"place": place, "customer": customer_id})
    named = update(audit).where(audit.c.customers.contains([customer_id]))
    database.execute(named.values(customers=func.array_remove(audit.c.customers, customer_id)))
    return {name: count for name, count in gone.items() if count}


def _syncs(database: Database, customer_id: str, declared: Collection[str], actor: str) -> int:
    changing, changed, gone = Changing(database), [], 0
    for known in changing.existing:
        document = _without(known.document, customer_id)
        if document == known.document:
            continue
        if document.get("customers") == [] != known.document.get("customers"):
            gone += 1
            if known.name not in declared:
                changing.forget(known.name, silent_after=timedelta(0))
            changing.remove(known, actor=actor)
        else:
            changed.append(known.name)
            changing.replace(known, document, actor=actor)
    plans = planned.c.sync.in_(set(changed) - set(declared))
    without = func.array_remove(planned.c.customers, customer_id, type_=ARRAY(Text))
    own = planned.c.own_schedules.op("-")(customer_id)
    database.execute(update(planned).where(plans).values(customers=without, own_schedules=own))
    # Keys and what they were used with tell who was named.
    database.execute(update(api_syncs).where(api_syncs.c.name.in_(changed)).values(key=None, key_mark=None))
    return gone


def _versions(database: Database, customer_id: str) -> int:
    gone = database.execute(_VERSIONS_FOR_IT_ALONE, {"customer": customer_id}).rowcount
    for place in (["customers"], ["overrides"]):
        database.execute(_VERSIONS, {"place": place, "customer": customer_id})
    telling = update(api_sync_versions).where(func.strpos(api_sync_versions.c.reason, customer_id) > 0)
    database.execute(telling.values(reason=""))
    return gone


def _without(document: Mapping[str, Any], customer_id: str) -> dict[str, Any]:
    customers, overrides = document.get("customers"), document.get("overrides")
    named = dict(document)
    if isinstance(customers, list):
        named["customers"] = [each for each in customers if each != customer_id]
    if isinstance(overrides, dict):
        named["overrides"] = {name: each for name, each in overrides.items() if name != customer_id}
    return named
