"""Postgres: servers that die, refuse or forget, and what the user is told then."""

import os
import signal
import socket
import threading
from contextlib import contextmanager

import psycopg
import pytest

from sync_pipelines.config import DestinationConfig
from sync_pipelines.destinations import open_destination
from sync_pipelines.destinations.postgres.failures import failure
from sync_pipelines.destinations.postgres.place import place_of
from sync_pipelines.embedded_postgres import EmbeddedPostgres
from sync_pipelines.model.errors import DestinationBusy, DestinationError, RefusedValue
from sync_pipelines.model.run import Counts
from sync_pipelines.model.secret import Secret
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
    stored,
)
from sync_pipelines_tests.fixtures.quick_folder import quick_folder

PASSWORD = "s3cret-pässword"


def kill_backends_at(step, database):
    """An observer that ends the load's own session from outside."""

    def observe(passed):
        if passed == step:
            with database.connect() as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    return observe


@pytest.fixture(scope="module")
def killable():
    with quick_folder() as folder, EmbeddedPostgres(folder, durable=False) as server:
        yield server


@pytest.fixture
def own_server(killable):
    """A server that the test may kill."""
    killable.start()
    yield killable
    killable.start()
    with psycopg.connect(killable.url(driver=None), autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS crm CASCADE")


def at_server(server, **changes):
    values = {
        "name": "warehouse",
        "host": server.host,
        "database": "postgres",
        "schema_name": "crm",
        "user": "sync",
        "password": Secret(""),
    }
    return open_destination(DestinationConfig(**values | changes), "acme")


@pytest.fixture
def guarded(own_server):
    """A server that asks everybody but its owner for a password, with a role `writer`."""
    rules = own_server.data_folder / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("local all sync trust\nlocal all all scram-sha-256\n")
    with psycopg.connect(own_server.url(driver=None), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE writer LOGIN PASSWORD '{PASSWORD}'")
        connection.execute("SELECT pg_reload_conf()")

        def run(statement):
            connection.execute(statement)

        yield own_server, run
        connection.execute("DROP OWNED BY writer CASCADE; DROP ROLE writer")
    rules.write_text(before)


def refusal(destination, kind):
    """The error that check() and open() both raise."""
    with pytest.raises(kind) as checked:
        destination.check()
    with pytest.raises(kind), destination.open(scope(), CONTACTS, "run-1", ignore):
        pass
    destination.close()
    told = checked.value
    assert PASSWORD not in f"{told} {told.detail} {told!r}"
    return str(told)


@pytest.mark.parametrize("step", ["load.fenced", "load.keys_sent", "load.staged", "load.upserted", "load.checkpointed"])
def test_a_session_that_is_ended_during_a_load_is_busy_and_nothing_is_half_written(open_again, database, step):
    destination = open_again()
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1, 2), reading())
    chunk = [row("2", name="Bea", minute=1), row("3")]
    with destination.open(scope(), CONTACTS, "run-2", kill_backends_at(step, database)) as landing:
        with pytest.raises(DestinationBusy, match="tried again by itself"):
            load(landing, chunk, reading())
        assert names(landing) == {"1": "Ann", "2": "Ann"}
    with destination.open(scope(), CONTACTS, "run-3", ignore) as landing:
        assert landing.checkpoint.version == 1
        assert load(landing, chunk, reading()) == Counts(created=1, updated=1)


def test_a_session_that_is_ended_during_a_delete_is_busy_and_nothing_is_deleted(open_again, database):
    destination = open_again()
    with destination.open(scope(), CONTACTS, "run-1", kill_backends_at("delete.marked", database)) as landing:
        load(landing, rows(1, 2), DONE)
        load(landing, rows(1), reading())
        with pytest.raises(DestinationBusy):
            landing.delete_unseen(DONE, hard=True, brake=0.5)
        assert alive(landing) == ["1", "2"]
        with pytest.raises(DestinationBusy):
            landing.delete_unseen(DONE, hard=True, brake=0.5)


def test_sessions_that_were_ended_while_idle_are_replaced_without_a_word(open_again, database):
    destination = open_again()
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1), DONE)
        kill_backends_at("now", database)("now")
        assert load(landing, rows(2), DONE) == Counts(created=1)


def test_a_restarted_server_is_used_again_without_a_word(own_server):
    destination = at_server(own_server)
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1), DONE)
        own_server.stop()
        with pytest.raises(DestinationBusy, match="cannot be reached"):
            load(landing, rows(2), DONE)
        own_server.start()
        assert load(landing, rows(2), DONE) == Counts(created=1)
    destination.close()


@pytest.mark.parametrize("complete", [False, True])
def test_a_full_read_begins_anew_where_a_crash_of_the_server_lost_what_it_had_seen(own_server, complete):
    destination = at_server(own_server)
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1, 2, 3, 4), DONE)
        load(landing, rows(1, 2), reading("second", complete=complete))
    own_server.stop(mode="immediate")
    own_server.start()
    with destination.open(scope(), CONTACTS, "run-2", ignore) as landing:
        anew = landing.checkpoint.reading
        assert (anew.full, anew.resume, anew.complete) == (True, None, False)
        assert anew.id != "second"
        assert alive(landing) == ["1", "2", "3", "4"]
        load(landing, rows(1, 2, 3), landing.checkpoint)
        assert landing.delete_unseen(DONE, hard=False, brake=0.5) == 1
        assert alive(landing) == ["1", "2", "3"]
    destination.close()


def test_a_clean_restart_of_the_server_loses_nothing_of_a_full_read(own_server):
    destination = at_server(own_server)
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1, 2), DONE)
        load(landing, rows(1), reading("second"))
    own_server.stop()
    own_server.start()
    with destination.open(scope(), CONTACTS, "run-2", ignore) as landing:
        assert landing.checkpoint.reading.id == "second"
        assert landing.delete_unseen(DONE, hard=False, brake=0.5) == 1
    destination.close()


def test_a_crash_between_the_last_chunk_and_the_delete_deletes_nothing(own_server):
    destination = at_server(own_server)
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1, 2), DONE)
        load(landing, rows(1, 2), reading("second"))
        os.kill(own_server.pid, signal.SIGKILL)
        own_server.start()
        with pytest.raises(DestinationBusy, match="Nothing was deleted"):
            landing.delete_unseen(DONE, hard=True, brake=1.0)
        assert alive(landing) == ["1", "2"]
    destination.close()


def test_a_wrong_password_is_named_and_never_shown(guarded):
    server, _ = guarded
    told = refusal(at_server(server, user="writer", password=Secret(PASSWORD + "x")), DestinationError)
    assert "password of user writer" in told
    assert "database postgres" in told


def test_an_unknown_user_is_told_like_a_wrong_password(guarded):
    server, _ = guarded
    told = refusal(at_server(server, user="nobody", password=Secret(PASSWORD)), DestinationError)
    assert "nobody" in told


def test_a_missing_database_is_named(guarded):
    server, _ = guarded
    told = refusal(at_server(server, database="nowhere", user="writer", password=Secret(PASSWORD)), DestinationError)
    assert "database nowhere" in told
    assert "create it" in told


def test_a_role_without_a_free_connection_is_busy(guarded):
    server, run = guarded
    run("ALTER ROLE writer CONNECTION LIMIT 0")
    told = refusal(at_server(server, user="writer", password=Secret(PASSWORD)), DestinationBusy)
    assert "max_connections" in told


def test_missing_rights_are_told_with_what_to_grant(guarded):
    server, run = guarded
    destination = at_server(server, user="writer", password=Secret(PASSWORD))
    assert 'GRANT CREATE ON DATABASE "postgres" TO "writer"' in refusal(destination, DestinationError)
    run("CREATE SCHEMA crm")
    destination = at_server(server, user="writer", password=Secret(PASSWORD))
    assert 'GRANT USAGE, CREATE ON SCHEMA "crm" TO "writer"' in refusal(destination, DestinationError)
    run("GRANT USAGE, CREATE ON SCHEMA crm TO writer")
    destination = at_server(server, user="writer", password=Secret(PASSWORD))
    destination.check()
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        assert load(landing, rows(1), DONE) == Counts(created=1)
        run("REVOKE INSERT ON crm.crm_contact FROM writer")
        with pytest.raises(DestinationError, match="writer lacks a right"):
            load(landing, rows(2), DONE)
    destination.close()


def test_a_role_that_may_only_write_works_once_the_tables_are_there(guarded):
    server, run = guarded
    owner = at_server(server)
    with owner.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1), DONE)
    owner.close()
    run("GRANT USAGE ON SCHEMA crm TO writer")
    run("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA crm TO writer")
    destination = at_server(server, user="writer", password=Secret(PASSWORD))
    with destination.open(scope(), CONTACTS, "run-2", ignore) as landing:
        assert load(landing, [row("1", name="Bea", minute=1), row("2")], reading()) == Counts(created=1, updated=1)
        assert landing.delete_unseen(DONE, hard=False, brake=0.0) == 0
    destination.close()


def test_a_server_that_is_not_there_is_busy(own_server):
    told = refusal(at_server(own_server, host="/nowhere"), DestinationBusy)
    assert "/nowhere:5432) cannot be reached" in told
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    assert "cannot be reached" in refusal(at_server(own_server, host="127.0.0.1", port=port), DestinationBusy)
    assert "cannot be reached" in refusal(at_server(own_server, host="no.such.host.invalid"), DestinationBusy)


def test_unknown_connection_parameters_are_named(own_server):
    told = refusal(at_server(own_server, connection_parameters={"sslmood": "on"}), DestinationError)
    assert "sslmood" in told


@contextmanager
def refusing_server(code):
    """Speaks just enough of the protocol to refuse everybody with a SQLSTATE."""
    message = b"".join(b"%c%s\0" % field for field in ((b"S", b"FATAL"), (b"V", b"FATAL"), (b"C", code), (b"M", b"no")))
    answer = b"E" + (len(message) + 5).to_bytes(4, "big") + message + b"\0"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    client.recv(4096)
                    client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (b"57P03", DestinationBusy, "starting up"),
        (b"53300", DestinationBusy, "max_connections"),
        (b"28000", DestinationError, "pg_hba"),
        (b"3D000", DestinationError, "create it"),
    ],
)
def test_a_refusal_is_told_by_its_code(own_server, code, kind, words):
    with refusing_server(code) as port:
        changes = {"host": "127.0.0.1", "port": port, "connection_parameters": {"sslmode": "disable"}}
        assert words in refusal(at_server(own_server, **changes), kind)


def test_a_refusal_is_told_roughly_where_libpq_cannot_trace(guarded, monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    server, _ = guarded
    wrong = at_server(server, user="writer", password=Secret(PASSWORD + "x"))
    assert "does not let user writer in" in refusal(wrong, DestinationError)
    assert "cannot be reached" in refusal(at_server(server, host="/nowhere"), DestinationBusy)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("53100", DestinationBusy),
        ("53200", DestinationBusy),
        ("40001", DestinationBusy),
        ("40P01", DestinationBusy),
        ("55P03", DestinationBusy),
        ("57014", DestinationBusy),
        ("57P01", DestinationBusy),
        ("58030", DestinationBusy),
        ("08006", DestinationBusy),
        ("25006", DestinationBusy),
        ("42P01", DestinationBusy),
        ("23505", DestinationBusy),
        ("XX000", DestinationBusy),
        ("42501", DestinationError),
        ("22021", RefusedValue),
        ("23514", DestinationError),
        ("54011", DestinationError),
        ("42601", DestinationError),
    ],
)
def test_a_report_of_the_server_is_told_by_its_code(postgres_config, code, kind):
    place = place_of(postgres_config(password=Secret(PASSWORD)), "acme")
    told = failure(psycopg.errors.lookup(code)(f"something with {PASSWORD} in it"), place)
    assert type(told) is kind
    assert "destination warehouse" in str(told)
    assert PASSWORD not in f"{told} {told.detail}"


def test_a_table_that_is_dropped_during_the_sync_is_made_again_at_the_next_try(open_again, sql):
    destination = open_again()
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        sql("DROP TABLE crm.crm_contact")
        with pytest.raises(DestinationBusy, match="vanished"):
            load(landing, rows(1), DONE)
    with destination.open(scope(), CONTACTS, "run-2", ignore) as landing:
        assert load(landing, rows(1), DONE) == Counts(created=1)


def test_rows_that_somebody_else_writes_at_the_same_time_are_busy_not_doubled(open_again):
    destination = open_again()
    with destination.open(scope(sync="one"), CONTACTS, "run-1", ignore) as other:

        def meanwhile(step):
            if step == "load.keys_sent":
                load(other, [row("1", name="other")], DONE)

        with destination.open(scope(sync="two"), CONTACTS, "run-2", meanwhile) as landing:
            with pytest.raises(DestinationBusy, match="Somebody else wrote"):
                load(landing, rows(1, 2), DONE)
            assert {id: entry["first_name"] for id, entry in stored(landing).items()} == {"1": "other"}
