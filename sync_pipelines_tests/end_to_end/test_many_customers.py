"""Many customers into one table at once, and the same work asked for twice at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sync_pipelines.sandbox.serving import serve
from sync_pipelines.sandbox.world import Recipe
from sync_pipelines_tests.end_to_end.crash_runner import running
from sync_pipelines_tests.fixtures.place import ACME, CUSTOM_SCHEMA, KESTREL, made_place

CUSTOMERS = 50
ROUNDS = 20
VENDOR_OBJECTS = {"salesforce": "Contact", "hubspot": "contacts"}


@pytest.fixture(scope="module")
def crowd():
    with serve(Recipe(seed=11, scale=0.008, customers=CUSTOMERS)) as control:
        yield control


@pytest.fixture
def crowded(crowd, make_database, tmp_path):
    """Every customer connected; one sync for each vendor, both into one table, each customer with its own mapping."""
    crowd.reset()
    with made_place(crowd, make_database, tmp_path / "syncs") as made:
        made.options = {"connections_at_once": CUSTOMERS // 2, "chunk_rows": 10}
        made.sleep = lambda seconds: None
        objects = [{"object": "contact", "custom_schema": CUSTOM_SCHEMA}]
        made.write_sync(objects=objects)
        made.write_sync("hub", provider="hubspot", objects=objects)
        for account in made.connect():
            made.map(account.id, account.vendor, "contact", **account.meanings[VENDOR_OBJECTS[account.vendor]])
        yield made


def both_at_once(place, **options):
    """One run of both syncs side by side, so all customers at once."""
    with ThreadPoolExecutor(2) as pool:
        runs = [
            run for found in pool.map(lambda name: place.sync(name=name, **options), ("crm", "hub")) for run in found
        ]
    assert len(runs) == CUSTOMERS
    return runs


def test_fifty_customers_share_a_table_for_twenty_rounds_and_each_keeps_its_own_rows(crowded):
    place = crowded
    accounts = place.control.accounts()
    both_at_once(place)
    for number in range(ROUNDS):
        for account in accounts:
            place.control.change(
                account.id, VENDOR_OBJECTS[account.vendor], seed=number, updated=2, created=1, deleted=number % 2
            )
        runs = both_at_once(place, full=number % 7 == 6)
        assert {run.status for run in runs} == {"success"}
        assert {(run.counts.created, run.counts.updated) for run in runs} == {(1, 2 + number % 2)}
    assert place.differences() == []
    assert len(place.rows("crm_contact")) > CUSTOMERS * ROUNDS
    held = {(row["_sync_provider_name"], row["_sync_customer_id"]) for row in place.rows("crm_contact")}
    assert held == {(account.vendor, account.id) for account in accounts}
    assert {run.counts.changed for run in both_at_once(place)} == {0}


def test_two_processes_that_begin_with_an_empty_database_share_it(crowded):
    with running() as one, running() as other, ThreadPoolExecutor(2) as pool:
        begun = [pool.submit(runner.sync, crowded, name=name) for runner, name in ((one, "crm"), (other, "hub"))]
        runs = [run for ended in begun for run in ended.result().runs]
    assert [run.status for run in runs] == ["success"] * CUSTOMERS
    assert crowded.differences() == []


@pytest.fixture
def pair(place):
    """Two customers of the small world."""
    place.options["chunk_rows"] = 20
    place.open()
    place.connect(ACME, KESTREL)
    return place


def records(place, *customers):
    return sum(1 for customer in customers for _ in place.control.truth(customer, "Contact"))


def test_work_that_another_process_is_doing_is_skipped_with_a_message(pair):
    asked = []
    with running() as other:

        def ask_another_process(step):
            if step == "chunk.stored" and not asked:
                asked.extend(other.sync(pair, ACME, KESTREL).runs)

        (run,) = pair.sync(ACME, observe=ask_another_process)
    assert [each.status for each in asked] == ["skipped", "success"]
    assert "it was not done twice" in asked[0].message
    assert (run.status, run.counts.created) == ("success", records(pair, ACME))
    assert pair.differences(ACME, KESTREL) == []


def test_work_asked_for_many_times_at_once_is_done_once(pair):
    times = 8
    at_once = threading.Barrier(times)

    def ask(number):
        at_once.wait(timeout=60)
        return pair.sync(ACME, KESTREL)

    with ThreadPoolExecutor(times) as pool:
        runs = [run for found in pool.map(ask, range(times)) for run in found]
    assert {run.status for run in runs} <= {"success", "skipped"}
    assert all("it was not done twice" in run.error_message for run in runs if run.status == "skipped")
    assert sum(run.counts.created for run in runs) == records(pair, ACME, KESTREL)
    assert sum(run.counts.updated for run in runs) == 0
    assert pair.differences(ACME, KESTREL) == []


def test_a_run_that_lost_its_lease_and_was_overtaken_writes_nothing_more(pair):
    """Its session at the store was ended, so that another process could take the lease while it was still reading."""
    overtaken = []
    with running() as other:

        def lose_the_lease(step):
            if step != "chunk.stored" or overtaken:
                return
            with pair.store.connect() as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' "
                    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            pair.control.change(ACME, "Contact", updated=30, deleted=5)
            overtaken.extend(other.sync(pair, ACME).runs)

        run = pair.sync_one(ACME, observe=lose_the_lease)
    assert overtaken[0].status == "success"
    assert (run.status, run.error_type) == ("error", "destination")
    assert "wrote nothing" in run.error_message
    assert pair.sync_one(ACME).status == "success"
    assert pair.differences(ACME) == []
