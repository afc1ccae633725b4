"""With `metadata_prefix: _supaglue_` the printed Contact table of the managed-syncs product comes out, with rows."""

import json

import pytest

from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines_tests.fixtures.place import ACME

PRINTED = """
| _supaglue_application_id | String    |
| _supaglue_customer_id    | String    |
| _supaglue_provider_name  | String    |
| _supaglue_emitted_at     | Timestamp |
| account_id               | String    |
| addresses                | json      |
| created_at               | Timestamp |
| email_addresses          | json      |
| first_name               | String    |
| id                       | String    |
| is_deleted               | Boolean   |
| last_activity_at         | Timestamp |
| last_modified_at         | Timestamp |
| last_name                | String    |
| lifecycle_stage          | String    |
| owner_id                 | String    |
| phone_numbers            | json      |
| raw_data                 | json      |
| updated_at               | Timestamp |
"""
TYPES = {"String": "text", "Timestamp": "timestamp with time zone", "json": "jsonb", "Boolean": "boolean"}

COLUMNS = """
    SELECT column_name, data_type FROM information_schema.columns
    WHERE table_schema = 'crm' AND table_name = 'crm_contact' ORDER BY ordinal_position
"""

SYNC = {
    "id": 1,
    "name": "my salesforce sync",
    "destination_id": 1,
    "provider_id": 2,
    "config": {"period_ms": 3600, "strategy": "full refresh"},
    "metadata_prefix": "_supaglue_",
    "objects": [{"object": "Contact"}, {"object": "EmailTemplate", "supaglue_common_schema": False}],
}


def printed():
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PRINTED.strip().splitlines()]
    return [(name, TYPES[kind]) for name, kind in rows]


@pytest.fixture
def managed(place):
    """The place with the printed kind of sync beside the providers and the destination; ACME is connected."""
    for kept in (place.folder / "syncs").iterdir():
        kept.unlink()
    (place.folder / "providers" / "hubspot.yaml").unlink()
    (place.folder / "syncs" / "printed.json").write_text(json.dumps(SYNC))
    place.open()
    place.connect(ACME)
    return place


def test_the_printed_table_comes_out_column_for_column(managed):
    run = managed.sync_one(ACME, name="my salesforce sync", object_name="Contact")
    assert run.status == "success"
    assert managed.execute(COLUMNS) == printed()


def test_its_rows_are_the_customers_records(managed):
    managed.sync_one(ACME, name="my salesforce sync", object_name="Contact")
    found = managed.execute(
        "SELECT id, last_name, _supaglue_customer_id, _supaglue_provider_name, raw_data ->> 'Email' "
        "FROM crm.crm_contact"
    )
    truth = {
        (truth["id"], truth["fields"]["LastName"], ACME, "salesforce", truth["fields"]["Email"])
        for truth in managed.control.truth(ACME, "Contact")
    }
    assert set(found) == truth


def test_a_repetition_rewrites_nothing_and_a_change_shows(managed):
    sync = {"name": "my salesforce sync", "object_name": "Contact"}
    managed.sync_one(ACME, **sync)
    assert managed.sync_one(ACME, **sync).counts.changed == 0
    (changed,) = managed.control.change(ACME, "Contact", updated=1)["updated"]
    assert managed.sync_one(ACME, **sync).counts.updated == 1
    newest = managed.execute("SELECT id FROM crm.crm_contact ORDER BY _supaglue_emitted_at DESC LIMIT 1")
    assert newest == [(changed,)]


def test_a_custom_prefix_does_not_disturb_the_usual_tables(managed):
    managed.write_sync(name="usual", objects=["Account"])
    assert managed.sync_one(ACME, name="usual").status == "success"
    assert {"_sync_run_id", "_sync_hash", "_sync_errors"} <= managed.rows("crm_account")[0].keys()


WHOLE = {
    "provider": {
        "provider_name": "salesforce",
        "auth_type": "oauth2",
        "category": "crm",
        "config": {
            "oauth": {
                "oauth_scopes": ["api", "id", "refresh_token"],
                "credentials": {"client_id": "${CLIENT_ID}", "client_secret": "${CLIENT_SECRET}"},
            }
        },
    },
    "destination": {
        "id": 2,
        "name": "my production postgres",
        "type": "postgres",
        "credentials": {
            "host": "${WAREHOUSE_HOST}",
            "port": 5432,
            "database": "${WAREHOUSE_DATABASE}",
            "schema": "${SUPAGLUE_CUSTOMER_ID}",
            "user": "sync",
            "password": "admin",
        },
    },
    "sync": {
        "id": 1,
        "name": "my salesforce sync",
        "destination_id": 1,
        "provider_id": 2,
        "config": {"period_ms": 3600, "strategy": "full refresh"},
        "objects": [
            {
                "object": "Contact",
                "supaglue_common_schema": False,
                "raw_fields": False,
                "custom_schema": {"version": 1, "fields": ["FirstName", "LastName"]},
            },
            {
                "object": "Account",
                "supaglue_common_schema": False,
                "raw_fields": False,
                "custom_schema": {"version": 1, "fields": ["Name", "Description"]},
            },
            {"object": "Opportunity", "custom_schema": {"version": 1, "fields": ["Name", "Amount", "CloseDate"]}},
            {"object": "EmailMessage"},
            {"object": "EmailTemplate"},
            {"object": "Employee"},
        ],
    },
}


OBJECTS = [each["object"] for each in WHOLE["sync"]["objects"]]


@pytest.fixture
def printed_project(place):
    """The printed provider, destination and sync as JSON files, with the places of this machine in them."""
    for file in place.folder.rglob("*.yaml"):
        file.unlink()
    for kind, document in WHOLE.items():
        (place.folder / f"{kind}s" / "printed.json").write_text(json.dumps(document, indent=2))
    place.open()
    account = place.control.account(ACME)
    place.project.store.connections.connect(
        customer_id=ACME,
        provider="salesforce",
        tokens=Tokens(access_token=Secret(account.access_token), refresh_token=Secret(account.refresh_token)),
        api_url=account.api_url,
        login_url=account.login_url,
    )
    return place


def test_the_printed_documents_run_as_they_are_printed(printed_project):
    place = printed_project
    runs = {name: place.sync_one(ACME, name="my salesforce sync", object_name=name) for name in OBJECTS}
    assert {name: run.status for name, run in runs.items()} == {
        **dict.fromkeys(OBJECTS, "success"),
        "Employee": "skipped",
    }
    assert "the object Employee: check its API name" in runs["Employee"].error_message
    names = {"Contact": ("FirstName", "LastName"), "Account": ("Name", "Description")}
    for name, fields in names.items():
        rows = {row["id"]: row for row in place.rows(f"salesforce_{name.lower()}", schema=ACME)}
        truth = {entry["id"]: entry["fields"] for entry in place.control.truth(ACME, name)}
        columns = {"FirstName": "first_name", "LastName": "last_name", "Name": "name", "Description": "description"}
        assert {id: [row[columns[field]] for field in fields] for id, row in rows.items()} == {
            id: [values[field] for field in fields] for id, values in truth.items()
        }
        assert "raw_data" not in next(iter(rows.values()))
    deals = {row["id"]: row for row in place.rows("crm_opportunity", schema=ACME)}
    for entry in place.control.truth(ACME, "Opportunity"):
        row, fields = deals[entry["id"]], entry["fields"]
        assert (row["name"], row["custom_name"]) == (fields["Name"], fields["Name"])
        assert row["raw_data"]["Amount"] == fields["Amount"]
    for name, table in (("EmailMessage", "salesforce_email_message"), ("EmailTemplate", "salesforce_email_template")):
        rows = place.rows(table, schema=ACME)
        assert [row["id"] for row in rows] == [entry["id"] for entry in place.control.truth(ACME, name)]
        assert all(row["raw_data"]["Id"] == row["id"] for row in rows)


def test_an_incremental_managed_sync_brings_just_what_changed(managed):
    document = {**SYNC, "config": {"strategy": "full then incremental"}}
    (managed.folder / "syncs" / "printed.json").write_text(json.dumps(document))
    managed.open()
    sync = {"name": "my salesforce sync", "object_name": "Contact"}
    assert managed.sync_one(ACME, **sync).full is True
    changed = managed.control.change(ACME, "Contact", updated=4, created=3, deleted=2)
    run = managed.sync_one(ACME, **sync)
    assert (run.full, run.counts.created, run.counts.updated) == (False, 3, 4 + 2)
    gone = managed.execute("SELECT id FROM crm.crm_contact WHERE is_deleted ORDER BY id")
    assert {id for (id,) in gone} >= set(changed["deleted"])
    assert managed.execute(COLUMNS) == printed()
    assert managed.sync_one(ACME, **sync).counts.changed == 0
