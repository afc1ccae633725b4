"""The whole way: a stand-in tells over HTTP, the API receives, the loop or the process applies, killed or not."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest

from sync_pipelines.api.serving import serve
from sync_pipelines.incoming import url_for
from sync_pipelines_tests.fixtures.place import ACME, LUMEN
from sync_pipelines_tests.live.conftest import Living, wait_until

OF_CONTACTS = [
    *({"eventType": f"contact.{kind}"} for kind in ("creation", "deletion", "merge", "restore", "associationChange")),
    {"eventType": "contact.privacyDeletion"},
    {"eventType": "contact.propertyChange", "propertyName": "lastname"},
]


@pytest.fixture
def portal(living):
    """A portal with its links, synced once, which tells changes to the API of the place."""
    living.write_sync(provider="hubspot", objects=[{"object": "contact", "associations": ["company"]}])
    lumen = living.connect_and_sync(LUMEN)
    with serve(living.project) as url:
        living.control.webhooks(f"{url}/webhooks/hubspot", OF_CONTACTS)
        yield lumen
        living.control.reset()


def all_told(living):
    return all(each["waiting"] == 0 for each in living.control.told()) and not living.waiting()


def test_what_happens_in_a_portal_is_in_the_rows(living, portal):
    ids = [row["id"] for row in living.rows("crm_contact") if not row["is_deleted"]][:6]
    company = next(record["id"] for record in living.control.truth(LUMEN, "companies") if not record["deleted"])
    record = living.control.record
    with living.loop() as failures:
        new = record(LUMEN, "contacts", fields={"lastname": "Okafor", "email": "okafor@lumen.example"})
        record(LUMEN, "contacts", id=ids[0], fields={"lastname": "Moreau"})
        record(LUMEN, "contacts", id=ids[1], operation="delete")
        record(LUMEN, "contacts", id=ids[2], operation="merge", into=ids[3])
        record(LUMEN, "contacts", id=ids[4], operation="purge")
        living.control.link(LUMEN, ("contacts", ids[5]), ("companies", company))
        wait_until(lambda: failures or sum(each["sent"] for each in living.control.told()) >= 6)
        wait_until(lambda: failures or all_told(living))
        assert failures == []
    rows = {row["id"]: row for row in living.rows("crm_contact")}
    assert rows[new]["last_name"] == "Okafor"
    assert rows[ids[0]]["last_name"] == "Moreau"
    assert [rows[id]["is_deleted"] for id in (ids[1], ids[2], ids[4])] == [True] * 3
    assert rows[ids[2]]["_sync_merged_into"] == ids[3]
    links = living.rows("hubspot_contact_association")
    assert company in {link["to_id"] for link in links if link["from_id"] == ids[5]}
    assert ids[1] not in {link["from_id"] for link in links}
    (run,) = living.place.sync(LUMEN, object_name="contact", full=True)
    assert run.counts.changed == 0


def test_properties_that_nobody_subscribed_to_are_not_told_and_a_failed_delivery_comes_again(living, portal):
    first = living.rows("crm_contact")[0]["id"]
    living.control.record(LUMEN, "contacts", id=first, fields={"jobtitle": "Baker"})
    with living.store.connect() as database:
        database.execute("ALTER TABLE vendor_events RENAME TO away")
        living.control.record(LUMEN, "contacts", id=first, fields={"lastname": "Moreau"})
        wait_until(lambda: living.control.told()[0]["failed"])
        database.execute("ALTER TABLE away RENAME TO vendor_events")
    wait_until(lambda: living.control.told()[0]["sent"])
    assert living.control.told()[0]["sent"] == 1
    living.apply_all()
    assert living.rows("crm_contact")[0]["last_name"] == "Moreau"


def test_an_organisations_messages_reach_the_row(living):
    living.write_sync()
    acme = living.connect_and_sync(ACME)
    with serve(living.project) as url, living.loop() as failures:
        living.control.outbound_messages(ACME, url + url_for(living.project, acme), ["Contact"])
        first = living.rows("crm_contact")[0]["id"]
        living.control.record(ACME, "Contact", id=first, fields={"LastName": "Moreau"})
        wait_until(lambda: failures or living.rows("crm_contact")[0]["last_name"] == "Moreau")
        wait_until(lambda: failures or living.control.told()[0]["sent"] == 1)
        living.control.reset()
    assert failures == []


class Killed(BaseException):
    """As if the process had been killed there."""


@pytest.mark.parametrize("step", ["changes.read", "amend.held", "amend.noted", "amend.committed", "live.applied"])
def test_whoever_dies_at_any_step_leaves_nothing_undone_and_nothing_counted_twice(living, step):
    living.write_sync(provider="hubspot", objects=["contact"])
    lumen = living.connect_and_sync(LUMEN)
    new = living.control.record(LUMEN, "contacts", fields={"lastname": "Okafor"})
    living.tell(lumen, "contact", new)
    deaths = []

    def die(passed):
        if passed == step and not deaths:
            deaths.append(step)
            raise Killed

    with living.loop(observe=die) as failures:
        wait_until(lambda: failures)
    assert [type(each) for each in failures] == [Killed]
    assert living.waiting() == 1
    living.apply_all()
    assert living.differences(LUMEN) == []
    assert sum(run.counts.read for run in living.live_runs()) == 1
    assert sum(run.counts.created for run in living.live_runs()) <= 1


@contextmanager
def live_process():
    command = [sys.executable, "-c", "from sync_pipelines.cli import app; app()", "live"]
    process = subprocess.Popen(command, env=dict(os.environ), stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("Live"), line
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_process_is_killed_again_and_again_and_ends_cleanly_when_told(place, command_line):
    living = Living(place)
    living.write_sync(provider="hubspot", objects=["contact"])
    lumen = living.connect_and_sync(LUMEN)
    command_line.at(place).set(SYNC_PIPELINES_LIVE_GATHER_SECONDS=0)
    ids = [row["id"] for row in living.rows("crm_contact") if not row["is_deleted"]]
    made = []

    def changes(number):
        living.control.record(LUMEN, "contacts", id=ids[number % len(ids)], fields={"lastname": f"Name {number}"})
        made.append(living.control.record(LUMEN, "contacts", fields={"lastname": f"New {number}"}))
        living.tell(lumen, "contact", ids[number % len(ids)], made[-1])

    for kill in range(2):
        with live_process() as process:
            for number in range(15):
                changes(15 * kill + number)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    with live_process() as process:
        wait_until(lambda: not living.waiting())
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert living.differences(LUMEN) == []
    assert 0 < sum(run.counts.created for run in living.live_runs()) <= len(made)


def test_people_see_what_waits_what_was_given_up_and_where_to_send(living, command_line):
    living.write_sync()
    acme = living.connect_and_sync(ACME)
    living.tell(acme, "Contact", "003000000000000AAA")
    shell = command_line.at(living.place)
    assert "salesforce" in shell("incoming").text
    events = living.project.store.vendor_events
    events.put_off([events.waiting(acme.id, "Contact", 1)[0].id], "the vendor was away", until=None)
    assert "the vendor was away" in shell("incoming", "failed").text
    assert "events of salesforce: 1 were given up" in shell("health").text
    shell.set(SYNC_PIPELINES_PUBLIC_URL="https://sync.example.com")
    address = shell("incoming", "address", ACME, "salesforce")
    assert address.out.startswith("https://sync.example.com/webhooks/salesforce/")
    assert httpx.URL(address.out.strip()).path == url_for(living.project, acme)
