"""The small accounts speak both vendors' protocols: our own providers and engine read them over real HTTP, and what
lands is what the accounts hold."""

import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from pydantic import SecretStr

from benchmarks.scale import faults
from benchmarks.scale.accounts import Accounts, customer_of, number_of, vendor_of
from benchmarks.scale.attempts import attempts_since, attribution
from benchmarks.scale.fields import OBJECTS, VENDORS
from benchmarks.scale.hour import cut_off
from benchmarks.scale.place import SCHEMA, Steering, connect_all, write_project
from benchmarks.scale.server import Play, Town
from benchmarks.scale.truth import wrong_rows
from benchmarks.standin import listening
from sync_pipelines.http_client import pace
from sync_pipelines.project import open_project
from sync_pipelines.settings import DEVELOPMENT_KEY, Settings

TOWN = Town(connections=14, failing_share=1.0, token_seconds=600)
"""Every account fails once failing is on, so that each kind does at each vendor."""
STEADY = Town(connections=4, failing_share=0.25, token_seconds=61)


class Small:
    def __init__(self, project, vendors, town, store, warehouse):
        self.project, self.vendors, self.town = project, vendors, town
        self.store, self.warehouse = store, warehouse

    def sync(self, **options):
        runs = []
        for vendor in VENDORS:
            customers = [customer_of(n) for n in range(self.town.connections) if vendor_of(n) == vendor]
            objects = dict.fromkeys(OBJECTS[vendor], customers)
            runs += self.project.sync_objects(vendor, objects, run_id="r", **options)
        return runs

    def wrong(self):
        accounts = Accounts.knowing(self.vendors.changes())
        with self.warehouse.connect() as database:
            return wrong_rows(database, SCHEMA, accounts, range(self.town.connections))

    def change(self, at_least):
        """Changes until there are so many."""
        self.vendors.play(Play(changes_per_second=300))
        deadline = time.monotonic() + 60
        while sum(len(one.changes) for one in self.vendors.changes()) < at_least:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.vendors.play(Play())


@pytest.fixture
def make_small(tmp_path, make_database, monkeypatch):
    monkeypatch.setattr(pace, "_paces", type(pace._paces)())
    opened = []

    def make(town):
        store, warehouse = make_database(), make_database()
        write_project(tmp_path / "project", timedelta(hours=1))
        file = tmp_path / "town.json"
        file.write_bytes(msgspec.json.encode(town))
        server = listening("benchmarks.scale.server", file)
        url, _ = server.__enter__()
        opened.append(lambda: server.__exit__(None, None, None))
        settings = Settings(
            environment="development",
            store_url=SecretStr(store.url()),
            encryption_keys=SecretStr(DEVELOPMENT_KEY),
            syncs_dir=tmp_path / "project",
            retry_attempts=2,
        )
        place = {"HOST": warehouse.host, "PORT": "5432", "DATABASE": warehouse.name, "USER": warehouse.user}
        environ = {f"WAREHOUSE_{name}": value for name, value in place.items()}
        project = open_project(settings, environ, sleep=lambda seconds: None)
        opened.append(project.close)
        project.store.migrate()
        connect_all(project, town, url)
        for vendor in VENDORS:
            project.store.due.plan([project.sync(vendor)])
        return Small(project, Steering(url), town, store, warehouse)

    yield make
    for close in reversed(opened):
        close()


def test_everything_lands_as_it_is_and_so_do_changes(make_small):
    small = make_small(STEADY)
    first = small.sync()
    assert {run.status for run in first} == {"success"}
    assert small.wrong() == (0, [])
    assert sum(run.counts.created for run in first) >= 2 * 6 * STEADY.connections

    idle = small.sync()
    assert {(run.status, run.counts.changed) for run in idle} == {("success", 0)}

    small.change(at_least=40)
    amount, examples = small.wrong()
    assert amount > 0
    assert len(examples) > 0
    changed = small.sync()
    assert {run.status for run in changed} == {"success"}
    assert small.wrong() == (0, [])
    counts = [run.counts for run in changed]
    assert all(sum(getattr(each, kind) for each in counts) for kind in ("created", "updated"))
    told = [change for one in small.vendors.changes() for change in one.changes.values()]
    assert any(change.deleted for change in told)


def test_a_row_that_is_missing_too_many_or_other_is_found(make_small):
    small = make_small(STEADY)
    small.sync()
    with small.warehouse.connect() as database:
        ids = [row[0] for row in database.execute("SELECT id FROM crm.crm_contact ORDER BY id")]
        database.execute("UPDATE crm.crm_contact SET last_name = 'Other' WHERE id = %s", [ids[0]])
        database.execute("UPDATE crm.crm_contact SET raw_data = raw_data || '{\"more\": 1}' WHERE id = %s", [ids[1]])
        database.execute("DELETE FROM crm.crm_contact WHERE id = %s", [ids[2]])
        database.execute("UPDATE crm.crm_contact SET id = 'nobody' WHERE id = %s", [ids[3]])
    amount, examples = small.wrong()
    assert amount == 5
    assert any("last_name is Other" in text for text in examples)
    assert any("is missing" in text for text in examples)
    assert any("should not be there" in text for text in examples)


def test_records_are_counted_without_the_deleted_ones(make_small):
    small = make_small(STEADY)
    small.change(at_least=60)
    accounts = Accounts.knowing(small.vendors.changes())
    for number in range(2):
        vendor = vendor_of(number)
        connection = small.project.store.connections.get(customer_of(number), vendor)
        provider = small.project.providers[vendor]
        session = small.project.session(connection)
        try:
            for name in OBJECTS[vendor]:
                live = sum(not record.deleted for record in accounts.records(number, name))
                assert session.ask(provider.count(provider.find_object(name))) == live
        finally:
            session.close()


def test_each_kind_of_failure_is_recorded_as_its_type_for_its_customer_alone(make_small):
    small = make_small(TOWN)
    assert {run.status for run in small.sync()} == {"success"}
    began = datetime.now(UTC)
    injected = faults.failing(TOWN.connections, TOWN.failing_share)
    assert set(injected.values()) == set(faults.KINDS)
    small.vendors.play(Play(failing=True))
    with small.store.connect() as database:
        cut_off(database, injected)
    small.sync()
    with small.store.connect() as database:
        found = attribution(attempts_since(database, began), injected)
    assert (found.wrong, found.others) == ([], [])
    assert found.attributed == len(injected)
    gone = {customer_of(number) for number, kind in injected.items() if kind == faults.GONE}
    runs = small.project.store.runs.list(since=began, limit=1000)
    kept = {run.object for run in runs if run.customer_id in gone and run.status == "success"}
    assert kept == {name for names in OBJECTS.values() for name in names} - set(faults.VANISHED.values())
    revoked = {customer_of(number) for number, kind in injected.items() if kind == faults.REVOKED}
    expired = {one.customer_id for one in small.project.store.connections.list(status="expired")}
    assert expired == revoked
    assert small.wrong() == (0, [])


def test_a_token_that_has_ended_is_refreshed_once_for_all_objects(make_small):
    small = make_small(STEADY)
    with small.store.connect() as database:
        database.execute("UPDATE credentials SET expires_at = now() WHERE expires_at IS NOT NULL")
    assert {run.status for run in small.sync()} == {"success"}
    with small.store.connect() as database:
        query = "SELECT count(*) FROM credentials WHERE expires_at > now() + interval '50 seconds'"
        assert database.execute(query).fetchone() == (STEADY.connections // 2,)


def test_customers_have_numbers():
    assert [number_of(customer_of(n)) for n in (0, 17, 9_999)] == [0, 17, 9_999]
