"""Compares the destination with the CRMs, record by record and value by value."""

import json
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import httpx
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from sync_pipelines.cli.demo.oracle import CUSTOM, NOT_READ, ORACLES
from sync_pipelines.config import DestinationConfig
from sync_pipelines.model.sync import Sync, SyncObject
from sync_pipelines.project import Project
from sync_pipelines.sandbox.control import Control, SandboxAccount

NOT_SHOWN: Final = frozenset(
    {"MailingAddress", "OtherAddress", "BillingAddress", "ShippingAddress", "Address", "hs_health_note"}
)
"""Compound fields are never read: their parts are. A sensitive HubSpot property is not shown without its own scope."""


def differences(project: Project, control: Control, customers: Collection[str] = ()) -> dict[str, list[str]]:
    """What is wrong, as sentences, by "customer/sync/object". Empty lists where all is equal.

    `customers`: only these; empty means all.
    """
    found: dict[str, list[str]] = {}
    for account in control.accounts():
        if customers and account.id not in customers:
            continue
        for sync in project.configuration.syncs.values():
            if sync.provider != account.vendor:
                continue
            for item in sync.objects:
                key = f"{account.id}/{sync.name}/{item.object}"
                found[key] = [f"{key} {text}" for text in _compare(project, control, account, sync, item)]
    return found


def _labels(account: SandboxAccount) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {account.access_token}"}
    answer = httpx.get(f"{account.api_url}/crm/v3/pipelines/deals", headers=headers, trust_env=False)
    answer.raise_for_status()
    labels: dict[str, str] = {}
    for pipeline in answer.json()["results"]:
        labels[pipeline["id"]] = pipeline["label"]
        labels.update({stage["id"]: stage["label"] for stage in pipeline["stages"]})
    return labels


def _compare(
    project: Project,
    control: Control,
    account: SandboxAccount,
    sync: Sync,
    item: SyncObject,
) -> Iterator[str]:
    crm_object = project.crm_object(sync.name, item.object)
    word = crm_object.common_name or crm_object.name
    labels = _labels(account) if account.vendor == "hubspot" and word == "opportunity" else {}
    rows = _rows(project, sync, item, account)
    mapping = project.store.mappings.current(account.id, account.vendor, item.object)
    for truth in control.truth(account.id, crm_object.name):
        row = rows.pop(truth["id"], None)
        if row is None:
            # A record that was deleted before it was ever read, or that a mirror removed, has no row.
            if not truth["deleted"]:
                yield f"{truth['id']} is missing"
            continue
        if sync.mode == "mirror" and truth["deleted"]:
            continue
        expected = ORACLES[account.vendor](word, truth, labels)
        sources = {name: rule.plain or "" for name, rule in mapping.fields.items()} if mapping is not None else {}
        if item.custom_schema is not None:
            expected |= {
                field.name: CUSTOM[field.name](truth["fields"].get(sources.get(field.name, "")))
                for field in item.custom_schema.fields
                if field.name in CUSTOM  # of others the oracle does not know what they should be
            }
        yield from _unequal(truth, row, expected)
    yield from (f"{extra} is in the destination and not in the CRM" for extra in rows)


def _rows(project: Project, sync: Sync, item: SyncObject, account: SandboxAccount) -> dict[str, dict[str, Any]]:
    config = project.configuration.destinations[sync.destination]
    assert isinstance(config, DestinationConfig), "the demo's warehouse is a database"
    table = project.table(sync.name, item.object).name
    query = sql.SQL(
        "SELECT * FROM {} WHERE _sync_application_id = %s AND _sync_provider_name = %s AND _sync_customer_id = %s"
    ).format(sql.Identifier(config.schema_name, table))
    with psycopg.connect(
        host=config.host,
        port=config.port,
        dbname=config.database,
        user=config.user,
        password=config.password.reveal() or None,
        row_factory=dict_row,
    ) as connection:
        found = connection.execute(query, (project.settings.application_id, sync.provider, account.id))
        return {row["id"]: row for row in found}


def _unequal(truth: Mapping[str, Any], row: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[str]:
    errors = row["_sync_errors"] or {}
    for column, known in expected.items():
        stored = row[column]
        value = known.replace("\x00", "") if isinstance(known, str) else known  # Postgres stores no NUL
        if value is NOT_READ:
            if stored is not None or column not in errors:
                yield f"{truth['id']}: {column} is {stored!r}, although the CRM's value does not fit"
        elif stored != value and not _same_number(stored, value):
            yield f"{truth['id']}: {column} is {stored!r} and should be {value!r}"
        elif column in errors:
            yield f"{truth['id']}: {column} has an error although its value fits: {errors[column]}"
    yield from _unequal_raw(truth, row["raw_data"])


def _same_number(stored: Any, value: Any) -> bool:
    return isinstance(value, Decimal) and isinstance(stored, int | Decimal) and Decimal(stored) == value


def _unequal_raw(truth: Mapping[str, Any], raw: Mapping[str, Any]) -> Iterator[str]:
    """Every field that the account shows, except those that this reader of the account is not given."""
    fields = raw.get("properties", raw)
    if truth["deleted"] and "userId" in fields:
        fields = {**fields, "userId": truth["fields"]["userId"]}  # HubSpot gives none for a deactivated owner
    given = {name: value for name, value in truth["fields"].items() if name not in NOT_SHOWN}
    for name, value in given.items():
        if name in fields and _normal(fields[name]) != _normal(value):
            yield f"{truth['id']}: raw_data.{name} is {fields[name]!r} and should be {value!r}"
    for name in sorted(given.keys() - fields.keys()):
        yield f"{truth['id']}: raw_data lacks {name}"


def _normal(value: Any) -> Any:
    """Bulk answers leave NUL characters and empty texts out, as does Postgres."""
    if isinstance(value, str):
        return value.replace("\x00", "") or None
    return json.loads(json.dumps(value)) if isinstance(value, dict | list) else value
