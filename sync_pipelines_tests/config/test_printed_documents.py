"""The documents of the managed-syncs product load as they are printed."""

import json
import re
from datetime import timedelta

import pytest

from sync_pipelines.model.mapping import CustomSchema, SchemaField
from sync_pipelines.model.naming import custom_columns
from sync_pipelines.model.sync import FULL_REFRESH, Schedule, SyncObject

PROVIDER = """
{
  "provider_name": "salesforce",
  "auth_type": "oauth2",
  "category": "crm",
  "config": {
    "oauth": {
      "oauth_scopes": ["api", "id", "refresh_token"],
      "credentials": {
        "client_id": "7393b5a4-5e20-4648-87af-b7b297793fd1",
        "client_secret": "941b846a-5a8c-48b8-b0e1-41b6d4bc4f1a"
      }
    }
  }
}
"""

POSTGRES = """
// destination config (postgres)
{
  "id": 2,
  "name": "my production postgres",
  "type": "postgres",
  "credentials": {
    "host": "db.jqmzyaitgfisezefyosx.supabase.co",
    "port": 5432,
    "database": "postgres", // ex. parameterization: "${SUPAGLUE_CUSTOMER_ID}"
    "schema": "supaglue",   // ex. parameterization: "${SUPAGLUE_CUSTOMER_ID}"
    "user": "admin",
    "password": "admin"
  }
}
"""

S3 = """
// destination config (s3)
{
  "id": 3,
  "name": "my production s3",
  "type": "s3",
  "credentials": {
    "access_key_id": "AKUADFSSDFS",
    "secret_access_key": "C12389cs809c809s809s",
    "region": "us-west-2",
    "bucket": "my-s3-bucket"
  }
}
"""

# As printed but for a comma that is missing there after provider_id, one too many after the strategy, and one closing
# brace too many at the end.
SYNC = """
{
  "id": 1,
  "name": "my salesforce sync",
  "destination_id": 1,
  "provider_id": 2,
  "config": {
    "period_ms": 3600,
    "strategy": "full refresh"
  },
  "objects": [{
      "object": "Contact",
      "supaglue_common_schema": false,  // default: true
      "raw_fields": false,               // default: true
      "custom_schema": {                 // optional: developer-defined schema for customers to map
        "version": 1,
        "fields": ["FirstName", "LastName"]
      }
    }, {
      "object": "Account",
      "supaglue_common_schema": false,
      "raw_fields": false,
      "custom_schema": {
        "version": 1,
        "fields": ["Name", "Description"]
      }
    }, {
      "object": "Opportunity",
      "custom_schema": {
        "version": 1,
        "fields": ["Name", "Amount", "CloseDate"]
      }
    }, {
      "object": "EmailMessage" // default: writes supaglue's common schema (if available) and all raw fields
    }, {
      "object": "EmailTemplate"
    }, {
      "object": "Employee"
    }]
}
"""


def without_comments(text):
    return re.sub(r"(?m)(^|\s)//.*$", "", text)


@pytest.fixture
def printed_folder(project_folder):
    return project_folder.write(
        {
            "providers/salesforce.yaml": None,
            "destinations/warehouse.yaml": None,
            "syncs/crm.yaml": None,
            "providers/salesforce.json": PROVIDER,
            "destinations/postgres.json": without_comments(POSTGRES),
            "syncs/salesforce.json": without_comments(SYNC),
        }
    )


def test_the_printed_provider_loads(printed_folder):
    provider = printed_folder.load().providers["salesforce"]

    assert provider.provider_name == "salesforce"
    assert (provider.auth_type, provider.category) == ("oauth2", "crm")
    assert provider.scopes == ("api", "id", "refresh_token")
    assert provider.client.client_id == "7393b5a4-5e20-4648-87af-b7b297793fd1"
    assert provider.client.client_secret.reveal() == "941b846a-5a8c-48b8-b0e1-41b6d4bc4f1a"


def test_the_printed_postgres_destination_loads(printed_folder):
    destination = printed_folder.load().destinations["my production postgres"]

    assert destination.type == "postgres"
    assert (destination.host, destination.port) == ("db.jqmzyaitgfisezefyosx.supabase.co", 5432)
    assert (destination.database, destination.schema_name) == ("postgres", "supaglue")
    assert (destination.user, destination.password.reveal()) == ("admin", "admin")


@pytest.mark.parametrize("spelling", ["${SUPAGLUE_CUSTOMER_ID}", "${CUSTOMER_ID}"])
def test_the_customer_id_in_database_and_schema_is_no_environment_reference(printed_folder, spelling):
    document = json.loads(without_comments(POSTGRES))
    document["credentials"] |= {"database": f"crm_{spelling}", "schema": spelling}
    printed_folder.write({"destinations/postgres.json": json.dumps(document)})

    destination = printed_folder.load(environ={}).destinations["my production postgres"]

    assert (destination.database, destination.schema_name) == ("crm_${CUSTOMER_ID}", "${CUSTOMER_ID}")


def test_the_printed_sync_loads_with_its_evident_meaning(printed_folder):
    configuration = printed_folder.load()
    sync = configuration.syncs["my salesforce sync"]

    assert (sync.provider, sync.destination) == ("salesforce", "my production postgres")
    assert sync.schedule == Schedule(every=timedelta(milliseconds=3600))
    assert sync.strategy == FULL_REFRESH
    contact, account, opportunity, *others = sync.objects
    assert contact == SyncObject(
        object="Contact",
        common_schema=False,
        raw_fields=False,
        custom_schema=CustomSchema(version=1, fields=(SchemaField(name="FirstName"), SchemaField(name="LastName"))),
    )
    assert [field.name for field in account.custom_schema.fields] == ["Name", "Description"]
    assert (opportunity.common_schema, opportunity.raw_fields) == (True, True)
    assert others == [SyncObject(object=name) for name in ("EmailMessage", "EmailTemplate", "Employee")]


def test_what_is_odd_about_the_printed_sync_becomes_warnings(printed_folder):
    warnings = "\n".join(printed_folder.load().warnings)

    assert 'syncs/salesforce.json:6: no provider has the id "2"; the only one, "salesforce", is used' in warnings
    assert 'no destination has the id "1"; the only one, "my production postgres", is used' in warnings
    assert "asks to run every 3.6 seconds; it runs every 60 seconds" in warnings


def test_ids_that_exist_are_followed(printed_folder):
    provider = json.loads(PROVIDER) | {"id": 2}
    other = provider | {"id": 7, "name": "other", "provider_name": "hubspot"}
    destination = json.loads(without_comments(POSTGRES)) | {"id": 1}
    printed_folder.write(
        {
            "providers/salesforce.json": json.dumps(provider),
            "providers/other.json": json.dumps(other),
            "destinations/postgres.json": json.dumps(destination),
        }
    )

    configuration = printed_folder.load()

    assert configuration.syncs["my salesforce sync"].provider == "salesforce"
    assert not [warning for warning in configuration.warnings if "id" in warning.split()]


def test_the_printed_custom_fields_keep_clear_of_the_common_columns():
    schema = CustomSchema(version=1, fields=tuple(SchemaField(name=name) for name in ("Name", "Amount", "CloseDate")))

    assert custom_columns(schema, {"name", "amount", "close_date"}) == {
        "Name": "custom_name",
        "Amount": "custom_amount",
        "CloseDate": "custom_close_date",
    }


def test_the_printed_s3_destination_works_as_written(printed_folder):
    sync = json.loads(without_comments(SYNC)) | {"destination_id": 3}
    printed_folder.write(
        {"destinations/s3.json": without_comments(S3).strip(), "syncs/salesforce.json": json.dumps(sync)}
    )

    configuration = printed_folder.load()
    bucket = configuration.destinations["my production s3"]
    assert configuration.syncs["my salesforce sync"].destination == "my production s3"

    assert (bucket.type, bucket.bucket, bucket.region, bucket.prefix) == ("s3", "my-s3-bucket", "us-west-2", "")
    assert (bucket.access_key_id, bucket.secret_access_key.reveal()) == ("AKUADFSSDFS", "C12389cs809c809s809s")
    assert (bucket.format, bucket.compression) == ("parquet", "zstd")
    assert "C12389" not in repr(bucket)


def test_comments_in_json_are_refused_with_the_way_out(printed_folder):
    printed_folder.write({"destinations/postgres.json": POSTGRES.strip()})

    (problem,) = printed_folder.problems()

    assert problem.startswith("destinations/postgres.json:1:1: not valid JSON: ")
    assert problem.endswith("JSON has no comments: leave them out, or write a .yaml file.")
