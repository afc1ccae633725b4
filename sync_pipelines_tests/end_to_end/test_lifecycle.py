"""Pausing, cancelling and steering, on a real store, a real destination and the sandbox."""

import threading
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from sync_pipelines import heeding
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.orchestration import claims, keeping
from sync_pipelines.orchestration.keeping import kept
from sync_pipelines.orchestration.resources import SyncProject
from sync_pipelines.orchestration.steering import Action, Steering, act, steering_job
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, LUMEN

PATIENCE = 60


@pytest.fixture
def paged(place):
    """Two customers whose contacts come in many small chunks."""
    place.options["chunk_rows"] = 15
    place.sleep = lambda seconds: None
    place.write_sync(schedule={"every": "1 hour"})
    place.connect(ACME, BRIGHTWATER)
    place.control.fault(ACME, "short_pages", size=10)
    return place


def cancel_at_first_chunk(place, customer):
    def observe(step):
        if step == "chunk.stored":
            place.project.stops.cancel(customer)

    return observe


def test_a_cancelled_sync_keeps_what_was_stored_and_goes_on_from_there(paged):
    (run,) = paged.sync(ACME, observe=cancel_at_first_chunk(paged, ACME))
    assert (run.status, run.error_type) == ("cancelled", None)
    assert 0 < run.counts.created < len(list(paged.control.truth(ACME, "Contact")))
    assert paged.project.store.runs.list(customer_id=ACME)[0].status == "cancelled"

    paged.open()
    (rest,) = paged.sync(ACME)
    assert rest.status == "success"
    assert rest.counts.created > 0
    assert paged.differences(ACME) == []


def test_cancelling_one_customer_leaves_the_others_alone(paged):
    runs = {run.customer_id: run for run in paged.sync(ACME, BRIGHTWATER, observe=cancel_at_first_chunk(paged, ACME))}
    assert runs[ACME].status == "cancelled"
    assert runs[BRIGHTWATER].status == "success"
    assert paged.differences(BRIGHTWATER) == []


def test_a_run_hears_of_a_cancel_from_another_process(paged, monkeypatch):
    monkeypatch.setattr(keeping, "WATCH_SECONDS", 0.05)
    project = paged.project
    project.plan("crm")
    with kept(project, "crm", None) as run:
        run.begin(project.sync("crm"))
        project.store.lifecycle.cancel("crm", [ACME])
        assert project.stops.of(ACME).wait(PATIENCE)
        assert not project.stops.of(BRIGHTWATER).is_set()


def test_what_runs_at_a_terminal_is_cancelled_too_and_alone_by_name(paged, command_line, monkeypatch):
    monkeypatch.setattr(heeding, "WATCH_SECONDS", 0.05)
    paged.control.fault(ACME, "slow", seconds=1)
    shell, before = command_line.at(paged), len(paged.control.calls(ACME))

    def cancel():
        deadline = datetime.now(UTC) + timedelta(seconds=PATIENCE)
        while len(paged.control.calls(ACME)) == before and datetime.now(UTC) < deadline:
            elsewhere.wait(0.05)
        store = paged.project.store
        store.due.plan([paged.project.sync("crm")], marks={})
        store.lifecycle.cancel("crm", [ACME])

    elsewhere = threading.Event()
    thread = threading.Thread(target=cancel)
    thread.start()
    answer = shell("sync", "crm")
    thread.join()
    assert answer.code == 1
    runs = {run.customer_id: run for run in paged.project.store.runs.list(sync="crm")}
    assert (runs[ACME].status, runs[BRIGHTWATER].status) == ("cancelled", "success")
    paged.control.clear_faults(ACME)
    assert shell("sync", "crm", "--customer", ACME).code == 0
    assert paged.differences(ACME) == []


def test_a_cancel_of_before_the_run_is_not_for_it(paged, monkeypatch):
    monkeypatch.setattr(keeping, "WATCH_SECONDS", 0.05)
    project = paged.project
    project.plan("crm")
    project.store.lifecycle.cancel("crm", [ACME], now=datetime.now(UTC) - timedelta(minutes=1))
    with kept(project, "crm", None) as run:
        run.begin(project.sync("crm"))
        project.store.lifecycle.cancel("crm", [BRIGHTWATER])
        assert project.stops.of(BRIGHTWATER).wait(PATIENCE)
    assert not project.stops.of(ACME).is_set()


def test_a_claim_is_kept_while_its_run_works(paged, monkeypatch):
    monkeypatch.setattr(keeping, "WATCH_SECONDS", 0.05)
    project = paged.project
    project.plan("crm")
    (claim,) = project.store.due.claim(datetime.now(UTC))
    beaten = []
    heartbeat = project.store.due.heartbeat
    monkeypatch.setattr(project.store.due, "heartbeat", lambda ids, **more: beaten.append(heartbeat(ids, **more)))
    with kept(project, "crm", str(claim.id)):
        deadline = datetime.now(UTC) + timedelta(seconds=PATIENCE)
        while not beaten and datetime.now(UTC) < deadline:
            project.stops.of(ACME).wait(0.05)
    assert beaten[0] == 2


def test_a_customer_with_objects_and_a_schema_of_its_own(place):
    place.write_sync(
        objects=["contact", "account"], overrides={BRIGHTWATER: {"objects": ["account"], "schema": "brightwater"}}
    )
    place.connect(ACME, BRIGHTWATER)
    for item in place.project.sync("crm").objects_of(BRIGHTWATER):
        (run,) = place.project.sync_connections("crm", item.object, [BRIGHTWATER], run_id="own")
        assert run.status == "success"
    with place.warehouse.connect() as connection:
        (own,) = connection.execute("SELECT count(*) FROM brightwater.crm_account WHERE NOT is_deleted").fetchone()
        (contacts,) = connection.execute("SELECT to_regclass('brightwater.crm_contact')").fetchone()
    assert own == len([truth for truth in place.control.truth(BRIGHTWATER, "Account") if not truth["deleted"]])
    assert contacts is None


class Opened(SyncProject):
    """The place's project, as a run would open it."""

    def open(self):
        return _opened[0]


_opened = []


def steered(place, **config):
    _opened[:] = [place.project]
    return steering_job.execute_in_process(
        run_config={"ops": {"steer": {"config": {"sync": "crm", "objects": [], "full": False, **config}}}},
        resources={"sync_project": Opened()},
        raise_on_error=False,
    )


def test_the_launchpad_steers_a_sync(place):
    place.write_sync(schedule={"every": "1 hour"}, objects=["contact", "account"])
    place.connect(ACME, BRIGHTWATER)
    with dg.instance_for_test():
        assert steered(place, action="PAUSE", reason="moving house").success
        assert place.project.store.lifecycle.state("crm").reason == "moving house"
        assert place.project.store.due.claim() == []
        assert steered(place, action="TRIGGER", customers=[ACME], objects=["ACCOUNT"], full=True).success
        assert steered(place, action="RESUME").success
        claimed = place.project.store.due.claim()
        assert [(claim.customers, claim.objects, claim.full) for claim in claimed] == [
            ((ACME,), ("account",), True),
            ((BRIGHTWATER,), (), False),
        ]
        assert not steered(place, action="CANCEL", customers=["nobody"]).success


def test_each_action_does_what_its_verb_does(place):
    place.write_sync(schedule={"every": "1 hour"})
    place.connect(ACME)
    project = place.project
    project.plan("crm")
    project.store.due.claim()
    assert "1 connections of crm are asked to stop" in act(project, Steering(sync="crm", action=Action.CANCEL))
    assert act(project, Steering(sync="crm", action=Action.ARCHIVE)) == "crm is archived."
    with pytest.raises(ConfigurationError, match="restore crm"):
        act(project, Steering(sync="crm", action=Action.TRIGGER))
    assert act(project, Steering(sync="crm", action=Action.RESTORE)) == "crm is active again."
    with pytest.raises(ConfigurationError, match="no object deal"):
        act(project, Steering(sync="crm", action=Action.TRIGGER, objects=["deal"]))
    assert {entry.actor for entry in project.store.audit.list("sync crm")} == {"dagster"}


def test_a_token_that_expired_pauses_its_own_connection_until_it_is_connected_again(place):
    place.write_sync(provider="hubspot", schedule={"every": "1 hour"})
    place.connect(LUMEN, "harbor-fitness")
    place.project.plan("crm")
    place.control.revoke_tokens(LUMEN)
    for claim in place.project.store.due.claim():
        runs = place.project.sync_objects("crm", {"contact": claim.customers}, run_id="first")
        outcomes = claims.outcomes_of(claim.customers, lambda customer: ["contact"], runs, repeat=True)
        place.project.store.due.done(claim.id, outcomes)
    assert {run.customer_id: run.error_type for run in runs} == {LUMEN: "auth_expired", "harbor-fitness": None}
    later = datetime.now(UTC) + timedelta(hours=2)
    assert [claim.customers for claim in place.project.store.due.claim(later)] == [("harbor-fitness",)]

    new = {name: Secret(token) for name, token in place.control.new_tokens(LUMEN).items()}
    place.project.store.connections.connect(
        customer_id=LUMEN,
        provider="hubspot",
        tokens=Tokens(access_token=new["access_token"], refresh_token=new["refresh_token"]),
    )
    assert [claim.customers for claim in place.project.store.due.claim(later)] == [(LUMEN,)]
    assert [run.status for run in place.sync(LUMEN)] == ["success"]
