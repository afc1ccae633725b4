"""The sandbox synced into files: by the command line, by Dagster, beside the same sync into Postgres."""

import json

import dagster as dg
import pytest
import yaml
from dagster_aws.s3 import S3Resource

from sync_pipelines.orchestration.assembly import definitions_of
from sync_pipelines.orchestration.s3_resource import SyncProjectOnS3
from sync_pipelines_tests.destinations.reading_files import filesystem_of, latest
from sync_pipelines_tests.fixtures.bucket import KEY, KEY_ID
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, CUSTOM_SCHEMA

FIELDS = {"annual_revenue": "ARR__c", "tier": "Tier__c"}
ACCOUNT = {"object": "account", "custom_schema": CUSTOM_SCHEMA}
PASSING = ("_sync_emitted_at", "_sync_run_id")
DOCUMENTS = ("raw_data", "addresses", "email_addresses", "phone_numbers", "_sync_errors")


def comparable(rows):
    found = {}
    for row in rows:
        row = {name: value for name, value in row.items() if name not in PASSING}
        for name in DOCUMENTS:
            if isinstance(row.get(name), str):
                row[name] = json.loads(row[name])
        found[row["_sync_customer_id"], row["id"]] = row
    return found


def write_destination(place, **document):
    path = place.folder / "destinations" / "lake.yaml"
    path.write_text(yaml.safe_dump({"name": "lake", "type": "s3", **document}))


@pytest.fixture
def lake(place, tmp_path):
    """A folder as a second destination beside the warehouse; one sync for each of them."""
    folder = tmp_path / "lake"
    write_destination(place, folder=str(folder))
    for name, destination in (("crm", "warehouse"), ("files", "lake")):
        place.write_sync(name=name, objects=["contact", ACCOUNT], destination=destination)
    place.connect(ACME, BRIGHTWATER)
    place.map(ACME, "salesforce", "account", **FIELDS)
    return folder


def sync_both(place, **options):
    for name in ("crm", "files"):
        for object_name in ("contact", "account"):
            runs = place.sync(name=name, object_name=object_name, **options)
            assert {run.status for run in runs} == {"success"}, [run.error_message for run in runs]


def test_files_hold_what_the_warehouse_holds(place, lake):
    sync_both(place)
    changed = place.control.change(ACME, "Contact", updated=5, created=4, deleted=3)
    place.control.change(BRIGHTWATER, "Account", updated=3, created=2, deleted=1)
    sync_both(place)
    gone = next(iter(changed["created"]))
    place.control.record(ACME, "Contact", operation="purge", id=gone)
    sync_both(place, full=True)
    place.map(ACME, "salesforce", "account", annual_revenue="ARR__c", tier="Name")
    sync_both(place)
    same_in_both(place, lake)
    renewal, *others = reversed(CUSTOM_SCHEMA["fields"])
    for version, kind in enumerate(("text", "date"), start=2):
        fields = [*others, {**renewal, "type": kind}]
        account = {"object": "account", "custom_schema": {"version": version, "fields": fields}}
        for name, destination in (("crm", "warehouse"), ("files", "lake")):
            place.write_sync(name=name, objects=["contact", account], destination=destination)
        sync_both(place)
        same_in_both(place, lake)


def same_in_both(place, lake):
    for table in ("crm_contact", "crm_account"):
        expected = comparable(place.rows(table))
        assert len(expected) > 20
        assert comparable(latest(lake, table)) == expected


def test_by_the_command_line(place, lake, command_line):
    at = command_line.at(place)
    checked = at("check", "--live")
    assert checked.code == 0, checked.text
    ran = at("sync", "files", "--customer", ACME)
    assert ran.code == 0, ran.text
    assert {row["_sync_customer_id"] for row in latest(lake)} == {ACME}
    found = at("verify", "files", "--customer", ACME)
    assert found.code == 0, found.text
    assert found.text.count("complete") >= 2
    compacted = at("compact", "files")
    assert compacted.code == 0, compacted.text
    refused = at("compact", "crm")
    assert (refused.code, "is not made of files" in refused.text) == (2, True)


def test_by_dagster_with_the_credentials_of_its_own_resource(place, bucket, monkeypatch):
    write_destination(place, credentials={"bucket": bucket.name, "prefix": "crm"})
    project = place.write_sync(destination="lake")
    place.connect(ACME)
    for name, value in (
        ("STORE_URL", place.store.url()),
        ("SYNCS_DIR", str(place.folder)),
        ("ENVIRONMENT", "development"),
        ("ENCRYPTION_KEYS", place.settings().encryption_keys.get_secret_value()),
    ):
        monkeypatch.setenv(f"SYNC_PIPELINES_{name}", value)
    for name, value in place.environ.items():
        monkeypatch.setenv(name, value)
    resource = SyncProjectOnS3(
        s3=S3Resource(
            endpoint_url=bucket.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=KEY,
        )
    )
    definitions = definitions_of(project, resource)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("salesforce_connections", [ACME])
        asset = next(iter(definitions.assets))
        result = dg.materialize([asset], instance=instance, resources=definitions.resources, partition_key=ACME)
        assert result.success
        (record,) = instance.fetch_materializations(dg.AssetKey(["crm", "contact"]), limit=10).records
    assert record.partition_key == ACME
    found = latest(f"s3://{bucket.name}/crm", filesystem=filesystem_of(bucket))
    assert {row["id"] for row in found} == {truth["id"] for truth in place.control.truth(ACME, "Contact")}
