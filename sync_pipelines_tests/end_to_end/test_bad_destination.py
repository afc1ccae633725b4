"""Destinations that cannot be reached, do not let us in, or hold something else: told clearly, nothing half written."""

import logging

import psycopg
import pytest
import yaml
from psycopg import sql

from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, LUMEN

PASSWORD = "c0rrect-horse-bättery"
WRONG = "wr0ng-horse-bättery"


def write_destination(place, name="warehouse", **changes):
    """The destination's YAML with some of its credentials changed, and the project opened anew."""
    credentials = {
        "host": place.warehouse.host,
        "port": place.warehouse.port,
        "database": place.warehouse.name,
        "schema": "crm",
        "user": place.warehouse.user,
        "password": "${WAREHOUSE_PASSWORD:-}",
        **changes,
    }
    file = place.folder / "destinations" / f"{name}.yaml"
    file.write_text(yaml.safe_dump({"name": name, "type": "postgres", "credentials": credentials}))
    return place.open()


def connect_as(place, customer, name):
    """An invented customer's account, connected under another name of ours."""
    account = place.control.account(customer)
    place.project.store.connections.connect(
        customer_id=name,
        provider=account.vendor,
        environment=account.environment,
        tokens=Tokens(access_token=Secret(account.access_token), refresh_token=Secret(account.refresh_token)),
        api_url=account.api_url,
    )


def ids_of(place, customer, vendor_object="Contact"):
    return [entry["id"] for entry in place.control.truth(customer, vendor_object)]


def ids_in(place, schema, table="crm_contact", database=None):
    query = sql.SQL("SELECT id, _sync_customer_id FROM {} ORDER BY id").format(sql.Identifier(schema, table))
    with (database or place.warehouse).connect() as connection:
        return connection.execute(query).fetchall()


def content(place, schema):
    """Rows of a schema's contacts without what differs from run to run."""
    passing = ("_sync_emitted_at", "_sync_run_id")
    rows = place.rows("crm_contact", schema=schema)
    return [{name: value for name, value in row.items() if name not in passing} for row in rows]


def told(run, *words):
    """The run ended because of its destination, and its message holds all of these words."""
    assert (run.status, run.error_type) == ("error", "destination")
    for word in words:
        assert word in run.error_message
    assert run.counts.changed == 0


@pytest.fixture
def role(place):
    """A role `writer` that the server asks for its password; a function that runs statements as the owner."""
    server = place.warehouse.server
    rules = server.data_folder / "pg_hba.conf"
    before = rules.read_text()

    def reload():
        """New connections meet the new rules once the server has read them."""
        with place.warehouse.connect() as connection:
            loaded = connection.execute("SELECT pg_conf_load_time(), pg_reload_conf()").fetchone()[0]
        while True:
            with place.warehouse.connect() as connection:
                if connection.execute("SELECT pg_conf_load_time()").fetchone()[0] > loaded:
                    return

    with place.warehouse.connect() as owner:
        owner.execute(f"CREATE ROLE writer LOGIN PASSWORD '{PASSWORD}'")
        rules.write_text("local all sync trust\nlocal all all scram-sha-256\n")
        reload()
        try:
            yield owner.execute
        finally:
            rules.write_text(before)
            reload()
            place.project.close()
            owner.execute("DROP OWNED BY writer CASCADE")
            owner.execute("DROP ROLE writer")


@pytest.mark.parametrize("host", ["/no/such/folder", "no.such.host.invalid"])
def test_an_unreachable_host_is_named_and_the_other_destinations_are_served(place, host):
    write_destination(place, "archive")
    write_destination(place, host=host)
    place.write_sync()
    place.write_sync(name="copy", destination="archive")
    place.connect(ACME)
    told(place.sync_one(ACME, name="crm"), "destination warehouse", host, "check that it runs, and host, port")
    assert place.sync_one(ACME, name="copy").status == "success"
    assert [id for id, _ in ids_in(place, "crm")] == ids_of(place, ACME)


def test_a_warehouse_that_comes_back_is_filled_by_the_next_run(place):
    place.connect(ACME)
    assert place.sync_one(ACME).status == "success"
    before = place.content("crm_contact")
    place.control.change(ACME, "Contact", updated=5, created=3, deleted=2)
    write_destination(place, port=1)
    told(place.sync_one(ACME), "cannot be reached")
    assert place.content("crm_contact") == before
    write_destination(place)
    run = place.sync_one(ACME)
    assert (run.status, run.full, run.counts.created) == ("success", False, 3)
    assert place.differences(ACME) == []


def test_a_wrong_password_is_told_and_never_shown(place, role, caplog):
    role(f'GRANT CREATE ON DATABASE "{place.warehouse.name}" TO writer')
    place.connect(ACME)
    place.environ["WAREHOUSE_PASSWORD"] = WRONG
    write_destination(place, user="writer")
    caplog.set_level(logging.DEBUG)
    run = place.sync_one(ACME)
    told(run, "The password of user writer", "is wrong: correct it")
    assert WRONG not in f"{run} {caplog.text}"
    place.environ["WAREHOUSE_PASSWORD"] = PASSWORD
    place.open()
    assert place.sync_one(ACME).status == "success"
    assert [id for id, _ in ids_in(place, "crm")] == ids_of(place, ACME)


def test_a_missing_database_is_told_and_costs_only_its_customer(place, make_database):
    theirs = make_database()
    with psycopg.connect(theirs.url(None).replace(theirs.name, "postgres"), autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE {theirs.name} RENAME TO "crm_{BRIGHTWATER}"')
        try:
            write_destination(place, database="crm_${CUSTOMER_ID}")
            place.connect(ACME, BRIGHTWATER)
            runs = {run.customer_id: run for run in place.sync()}
            told(runs[ACME], f"database crm_{ACME}", "does not exist: create it, or correct the destination")
            assert runs[BRIGHTWATER].status == "success"
            place.project.close()
        finally:
            connection.execute(f'ALTER DATABASE "crm_{BRIGHTWATER}" RENAME TO {theirs.name}')
    found = ids_in(place, "crm", database=theirs)
    assert found == [(id, BRIGHTWATER) for id in ids_of(place, BRIGHTWATER)]


def test_no_right_to_make_the_schema_or_tables_is_told_with_what_is_missing(place, role):
    place.environ["WAREHOUSE_PASSWORD"] = PASSWORD
    place.connect(ACME)
    write_destination(place, user="writer")
    told(place.sync_one(ACME), "User writer lacks a right", "Grant it")
    role("CREATE SCHEMA crm")
    told(place.sync_one(ACME), "User writer lacks a right", "schema crm")
    role("GRANT USAGE, CREATE ON SCHEMA crm TO writer")
    assert place.sync_one(ACME).status == "success"
    assert [id for id, _ in ids_in(place, "crm")] == ids_of(place, ACME)


@pytest.mark.parametrize("right", ["INSERT", "UPDATE", "SELECT"])
def test_a_right_that_is_taken_away_between_runs_leaves_the_rows_as_they_were(place, role, right):
    place.environ["WAREHOUSE_PASSWORD"] = PASSWORD
    role("CREATE SCHEMA crm")
    role("GRANT USAGE, CREATE ON SCHEMA crm TO writer")
    place.connect(ACME)
    write_destination(place, user="writer")
    assert place.sync_one(ACME).status == "success"
    before = place.content("crm_contact")
    place.control.change(ACME, "Contact", updated=5, created=3, deleted=2)
    role(f"REVOKE {right} ON crm.crm_contact FROM writer")
    told(place.sync_one(ACME), "User writer lacks a right", "crm_contact")
    assert place.content("crm_contact") == before
    role(f"GRANT {right} ON crm.crm_contact TO writer")
    assert place.sync_one(ACME).status == "success"
    rows = {row["id"]: row["is_deleted"] for row in place.rows("crm_contact")}
    assert rows == {entry["id"]: entry["deleted"] for entry in place.control.truth(ACME, "Contact")}


def test_a_table_with_another_column_type_is_told_with_both_types_and_left_as_it_is(place):
    write_destination(place, schema="crm_${CUSTOMER_ID}")
    place.execute(f'CREATE SCHEMA "crm_{ACME}"')
    place.write_sync(objects=["contact", "account"])
    place.connect(ACME, BRIGHTWATER)
    assert place.sync_one(ACME).status == "success"
    before = content(place, f"crm_{ACME}")
    place.execute(f'ALTER TABLE "crm_{ACME}".crm_contact DROP COLUMN first_name')
    place.execute(f'ALTER TABLE "crm_{ACME}".crm_contact ADD COLUMN first_name integer')
    place.control.change(ACME, "Contact", updated=5)
    runs = {run.customer_id: run for run in place.sync(object_name="contact")}
    told(
        runs[ACME],
        "column first_name",
        f"crm_{ACME}.crm_contact has the type integer, but text",
        "set _sync_hash of its rows to null",
    )
    assert runs[BRIGHTWATER].status == "success"
    assert place.sync_one(ACME, object_name="account").status == "success"
    now = content(place, f"crm_{ACME}")
    assert [{**row, "first_name": None} for row in now] == [{**row, "first_name": None} for row in before]
    place.execute(f'ALTER TABLE "crm_{ACME}".crm_contact DROP COLUMN first_name')
    place.execute(f'UPDATE "crm_{ACME}".crm_contact SET _sync_hash = NULL')
    assert place.sync_one(ACME, object_name="contact", full=True).status == "success"
    names = {entry["id"]: entry["fields"]["FirstName"] for entry in place.control.truth(ACME, "Contact")}
    assert {row["id"]: row["first_name"] for row in place.rows("crm_contact", schema=f"crm_{ACME}")} == names


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("CREATE TABLE crm.crm_contact (id bigint PRIMARY KEY, note text)", "is not a table of this project"),
        ("CREATE VIEW crm.crm_contact AS SELECT 1 AS id", "is not a table of this project"),
        ("CREATE SEQUENCE crm.crm_contact", "is not a table of this project"),
    ],
)
def test_something_of_others_under_the_tables_name_is_not_touched(place, statement, words):
    place.execute("CREATE SCHEMA crm")
    place.execute(statement)
    place.connect(ACME)
    told(place.sync_one(ACME), "crm.crm_contact exists already", words, "another table in the sync")
    columns = (
        "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'crm' AND table_name = 'crm_contact'"
    )
    assert place.execute(columns)[0][0] <= 2, "no column of ours was added"
    place.write_sync(objects=[{"object": "contact", "table": "our_contact"}])
    assert place.sync_one(ACME).status == "success"
    assert [id for id, _ in ids_in(place, "crm", "our_contact")] == ids_of(place, ACME)


HOSTILE = (
    "drop schema public; --",
    "Größe & Söhne GmbH",
    "100%s %(customer)s {} {0}",
    "a.b.c",
    "ACME",
    "acme",
    "select",
    "日本語",
    "(1) OR 1=1",
    "x" * 59,
)


def test_every_customer_has_a_schema_of_its_own_whatever_its_id(place):
    write_destination(place, schema="crm_${CUSTOMER_ID}")
    for name in HOSTILE:
        connect_as(place, ACME, name)
    runs = place.sync()
    assert [(run.customer_id, run.status) for run in runs] == [(run.customer_id, "success") for run in runs]
    schemas = {name for (name,) in place.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'crm\\_%'")}
    assert schemas == {f"crm_{name}" for name in HOSTILE}
    contacts = ids_of(place, ACME)
    for name in HOSTILE:
        assert ids_in(place, f"crm_{name}") == [(id, name) for id in contacts]
    assert place.execute("SELECT to_regnamespace('public') IS NOT NULL") == [(True,)]


@pytest.mark.parametrize("name", ["x" * 60, "ö" * 30])
def test_a_schema_name_that_postgres_would_cut_costs_only_its_customer(place, name):
    write_destination(place, schema="crm_${CUSTOMER_ID}")
    connect_as(place, ACME, name)
    place.connect(BRIGHTWATER)
    runs = {run.customer_id: run for run in place.sync()}
    told(runs[name], "schema name", "Postgres takes 1 to 63. Choose another")
    assert runs[BRIGHTWATER].status == "success"


@pytest.mark.parametrize("name", ["pg_catalog", "pg_temp", "pg_mine", "information_schema"])
def test_a_customer_cannot_land_in_a_schema_of_the_server(place, name):
    write_destination(place, schema="${CUSTOMER_ID}")
    connect_as(place, ACME, name)
    place.connect(BRIGHTWATER)
    runs = {run.customer_id: run for run in place.sync()}
    told(runs[name], name, "Choose another")
    assert runs[BRIGHTWATER].status == "success"
    found = place.execute("SELECT schemaname FROM pg_tables WHERE tablename = 'crm_contact'")
    assert found == [(BRIGHTWATER,)]


def test_a_customers_id_in_the_database_is_a_name_and_nothing_else(place):
    write_destination(place, database="${CUSTOMER_ID}")
    name = f"dbname={place.warehouse.name} host={place.warehouse.host.replace('/', ' ')}"
    connect_as(place, ACME, name)
    told(place.sync_one(name), f"database {name}", "does not exist")


def test_several_destinations_hold_each_their_own_copy_and_position(place, make_database):
    second = make_database()
    write_destination(place, "archive", database=second.name, schema="history")
    place.write_sync()
    place.write_sync(name="copy", destination="archive", mode="mirror")
    place.write_sync(name="hub", provider="hubspot", destination="archive")
    place.connect(ACME, LUMEN)
    for name, customer in (("crm", ACME), ("copy", ACME), ("hub", LUMEN)):
        assert place.sync_one(customer, name=name).status == "success"
    changed = place.control.change(ACME, "Contact", created=4)
    assert place.sync_one(ACME, name="crm").counts.created == 4
    assert place.sync_one(ACME, name="crm").counts.changed == 0
    assert not {id for id, _ in ids_in(place, "history", database=second)} & set(changed["created"])
    assert place.sync_one(ACME, name="copy").counts.created == 4
    alive = [(entry["id"], ACME) for entry in place.control.truth(ACME, "Contact") if not entry["deleted"]]
    assert [row for row in ids_in(place, "history", database=second) if row[1] == ACME] == alive
    assert [id for id, _ in ids_in(place, "crm")] == ids_of(place, ACME)
