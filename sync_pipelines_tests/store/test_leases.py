import os
import signal
import subprocess
import sys
import threading

import pytest

from sync_pipelines.model.errors import Retry

HOLDER = """
import sys
from sync_pipelines.model.secret import Secret
from sync_pipelines.store import Store
with Store(sys.argv[1], (Secret("key"),)).leases.hold("crm", "acme", "contact") as ours:
    print(ours, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(database):
    """Another process that holds the lease of (crm, acme, contact)."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, database.url()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def take_when_free(store, *parts):
    """Waits on the server, not by looking again and again, until the lease could be had."""
    from sqlalchemy import text

    from sync_pipelines.store.leases import _key

    with store._engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _key(parts)})


def test_a_lease_has_one_holder(store, open_store):
    with store.leases.hold("crm", "acme", "contact") as ours:
        with open_store().leases.hold("crm", "acme", "contact") as theirs:
            assert (ours, theirs) == (True, False)
        with open_store().leases.hold("crm", "acme", "account") as other:
            assert other
    with open_store().leases.hold("crm", "acme", "contact") as theirs:
        assert theirs


def test_parts_are_told_apart(store):
    with store.leases.hold("ab", "c") as one, store.leases.hold("a", "bc") as two:
        assert (one, two) == (True, True)


def test_threads_of_one_process_exclude_each_other(store):
    holding, release, found = threading.Event(), threading.Event(), []

    def hold():
        with store.leases.hold("crm", "acme") as ours:
            found.append(ours)
            holding.set()
            release.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait(10)
    with store.leases.hold("crm", "acme") as ours:
        found.append(ours)
    release.set()
    thread.join()
    with store.leases.hold("crm", "acme") as ours:
        found.append(ours)

    assert found == [True, False, True]


def test_an_error_inside_gives_the_lease_back(store, open_store):
    with pytest.raises(ZeroDivisionError), store.leases.hold("crm"):
        raise ZeroDivisionError
    with open_store().leases.hold("crm") as ours:
        assert ours


def test_another_process_is_kept_out_until_it_is_killed(store, holder):
    with store.leases.hold("crm", "acme", "contact") as ours:
        assert not ours

    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    take_when_free(store, "crm", "acme", "contact")

    with store.leases.hold("crm", "acme", "contact") as ours:
        assert ours


def test_a_lost_session_is_replaced_and_its_holder_ends_in_peace(store, database, open_store):
    with store.leases.hold("crm", "acme") as ours:
        assert ours
        with database.connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND datname = current_database()"
            )
        take_when_free(open_store(), "crm", "acme")
        with store.leases.hold("crm", "globex") as other, store.leases.hold("crm", "acme") as again:
            assert (other, again) == (True, False)
    with store.leases.hold("crm", "acme") as ours, open_store().leases.hold("crm", "acme") as theirs:
        assert (ours, theirs) == (True, False)


def test_a_store_that_does_not_answer_is_tried_again_later(store, database, make_database):
    with make_database().connect() as elsewhere:
        elsewhere.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS false")
        elsewhere.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database.name])
        with pytest.raises(Retry, match="store does not answer"), store.leases.hold("crm"):
            pass
        elsewhere.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
    with store.leases.hold("crm") as ours:
        assert ours
