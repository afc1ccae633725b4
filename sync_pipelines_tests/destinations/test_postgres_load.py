"""Postgres: what a load costs, and many of them at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from sync_pipelines.destinations.postgres.pool import MOST_CONNECTIONS, Pool
from sync_pipelines.model.common_model import Column
from sync_pipelines.model.destination import Table
from sync_pipelines.model.run import Counts
from sync_pipelines_tests.destinations.cases import (
    CONTACTS,
    DONE,
    alive,
    ignore,
    load,
    names,
    reading,
    row,
    rows,
    scope,
)


def wal_of(sql, action):
    before = sql("SELECT pg_current_wal_insert_lsn()")[0][0]
    action()
    return int(sql("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s)", before)[0][0])


def test_unchanged_rows_cost_no_wal(destination, sql):
    chunk = [row(f"{n:05}", raw=b'"' + b"x" * 1000 + b'"') for n in range(2000)]
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        assert wal_of(sql, lambda: load(landing, chunk, reading("first"))) > 2_000_000
        landing.delete_unseen(DONE, hard=False, brake=0.5)
        for table in ("crm_contact", "_sync_seen", "_sync_checkpoints"):
            sql(f"ALTER TABLE crm.{table} SET (autovacuum_enabled = off)")
        sql("CHECKPOINT")

        def again():
            assert load(landing, chunk, reading("second")) == Counts(unchanged=2000)
            assert landing.delete_unseen(DONE, hard=False, brake=0.5) == 0

        load(landing, [], reading("second"))  # full-page images of the checkpoint row's page come here
        assert wal_of(sql, again) < 40_000


def test_a_load_of_nothing_costs_only_the_checkpoint(destination, sql):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1), DONE)
        load(landing, [], DONE)
        assert wal_of(sql, lambda: load(landing, [], DONE)) < 2_000


def test_readers_never_see_half_a_chunk(destination, sql):
    seen = []

    def look(step):
        seen.append(sql("SELECT count(*), count(*) FILTER (WHERE first_name = 'Bea') FROM crm.crm_contact")[0])

    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(*range(50)), DONE)
    with destination.open(scope(), CONTACTS, "run-2", look) as landing:
        load(landing, [row(str(n), name="Bea", minute=1) for n in range(100)], DONE)
    assert set(seen) == {(50, 0), (100, 100)}


def test_ids_seen_are_kept_only_while_a_full_read_is_under_way(destination, sql):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1, 2), reading("first"))
        load(landing, rows(3), reading("first"))
        assert sql("SELECT sum(amount), count(*) FROM crm._sync_seen") == [(3, 2)]
        load(landing, rows(3), reading("second"))
        assert sql("SELECT DISTINCT reading FROM crm._sync_seen") == [("second",)]
        landing.delete_unseen(DONE, hard=False, brake=1.0)
        assert sql("SELECT * FROM crm._sync_seen") == []


def test_ids_left_by_a_checkpoint_that_a_person_removed_go_away(destination, sql):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1, 2), reading("first"))
    sql("DELETE FROM crm._sync_checkpoints")
    with destination.open(scope(), CONTACTS, "run-2", ignore) as landing:
        assert landing.checkpoint is None
        load(landing, rows(1), reading("second"))
    assert sql("SELECT reading, ids FROM crm._sync_seen") == [("second", ["1"])]


def test_statistics_are_taken_after_a_big_first_load(destination, sql):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        for start in (0, 5_000):
            load(landing, [row(str(n)) for n in range(start, start + 5_000)], DONE)
    assert sql("SELECT reltuples FROM pg_class WHERE oid = 'crm.crm_contact'::regclass") == [(10_000,)]


def test_fifty_customers_in_one_table_at_once_five_rounds(open_again):
    customers = [f"customer {n}" for n in range(50)]
    together = threading.Barrier(50)

    def sync(customer):
        destination = open_again(customer)
        results = []
        for number in range(5):
            together.wait(timeout=60)
            with destination.open(scope(customer), CONTACTS, f"run-{number}", ignore) as landing:
                chunk = [row(str(n), minute=number, name=f"{customer} {number}") for n in range(number, 40)]
                counts = load(landing, chunk, reading(str(number)))
                results.append((counts, landing.delete_unseen(DONE, hard=False, brake=0.5)))
        with destination.open(scope(customer), CONTACTS, "check", ignore) as landing:
            assert alive(landing) == sorted(str(n) for n in range(4, 40))
            assert {names(landing)[id] for id in alive(landing)} == {f"{customer} 4"}
        return results

    with ThreadPoolExecutor(50) as pool:
        outcomes = list(pool.map(sync, customers))
    expected = [(Counts(created=40), 0), *((Counts(updated=40 - n), 1) for n in range(1, 5))]
    assert outcomes == [expected] * 50


def test_a_table_that_fifty_open_for_the_first_time_at_once_is_made_once(open_again, sql):
    together = threading.Barrier(50)
    grown = [
        Table(name="crm_contact", columns=(*CONTACTS.columns, *(Column(f"c{n}", "text") for n in range(size))))
        for size in range(5)
    ]

    def first(number):
        destination = open_again(str(number))
        together.wait(timeout=60)
        with destination.open(scope(str(number)), grown[number % 5], "run-1", ignore) as landing:
            return load(landing, [(*row("1"), *["x"] * (number % 5))], DONE)

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(first, range(50))) == [Counts(created=1)] * 50
    assert sql("SELECT count(*), count(c3) FROM crm.crm_contact") == [(50, 10)]


def test_all_customers_of_a_process_share_few_connections(open_again, sql):
    destinations = [open_again(str(n), schema_name="s_${CUSTOMER_ID}") for n in range(15)]
    for number, destination in enumerate(destinations):
        with destination.open(scope(str(number)), CONTACTS, "run-1", ignore) as landing:
            load(landing, rows(1), DONE)
    ours = "datname = current_database() AND application_name = 'sync_pipelines'"
    assert sql(f"SELECT count(*) FROM pg_stat_activity WHERE {ours}") == [(1,)]


def test_connections_of_other_databases_make_room(database, make_database, postgres_config):
    from sync_pipelines.destinations.postgres.place import place_of

    pool, lent_first = Pool(most=2), {}
    for name in [database.name, make_database().name, make_database().name]:
        with pool.lend(place_of(postgres_config(database=name), "acme")) as lent:
            assert lent.connection.info.dbname == name
            lent_first[name] = lent.connection
    assert [connection.closed for connection in lent_first.values()] == [True, False, False]
    pool.close()
    assert all(connection.closed for connection in lent_first.values())


def test_more_threads_than_connections_wait_for_their_turn(postgres_config, database):
    from sync_pipelines.destinations.postgres.place import place_of

    pool, place, numbers = Pool(most=2), place_of(postgres_config(), "acme"), count()

    def borrow(_):
        with pool.lend(place) as lent:
            lent.connection.execute("SELECT pg_sleep(0.01)")
            return next(numbers)

    with ThreadPoolExecutor(12) as threads:
        assert sorted(threads.map(borrow, range(12))) == list(range(12))
    pool.close()


def test_a_session_keeps_few_staging_tables_whatever_it_loads(destination, sql):
    kinds = ["text", "numeric", "bigint", "boolean", "date", "jsonb"]
    for turn in range(2):
        for kind in kinds:
            table = Table(name=f"t_{kind}", columns=(*CONTACTS.columns, Column("value", kind)))
            with destination.open(scope(object=kind), table, "run-1", ignore) as landing:
                load(landing, [(*row("1", name=str(turn)), None)], DONE)
                assert load(landing, [(*row("1", minute=1, name=str(turn)), None)], DONE).updated == 1
    assert sql("SELECT count(*) FROM pg_class WHERE relname LIKE '\\_sync\\_staging\\_%%'")[0][0] <= 4


def test_at_most_so_many_connections_are_opened():
    assert MOST_CONNECTIONS <= 20


@pytest.mark.parametrize("size", [0, 1, 2, 999, 1000, 1001])
def test_any_number_of_rows_goes_in_one_load(destination, size):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        assert load(landing, rows(*range(size)), DONE).created == size
        assert load(landing, rows(*range(size)), DONE).unchanged == size
