"""The process itself: loops that die and begin anew, a clean end, and what people are told of events."""

import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import dagster as dg
import pytest

from sync_pipelines.live import loops
from sync_pipelines.live.loops import Turns, give_signs, run_loops, supervise
from sync_pipelines.metrics import HealthCollector, registry_of
from sync_pipelines.model.webhook import VendorEvent
from sync_pipelines.orchestration.assembly import definitions_of
from sync_pipelines.store.live_runs import run_id_at
from sync_pipelines_tests.fixtures.place import ACME
from sync_pipelines_tests.orchestration.fakes import giving


def test_a_loop_that_fails_or_ends_by_itself_is_logged_and_begins_anew_and_the_others_go_on(caplog):
    stop, tries, steady = threading.Event(), [], threading.Event()

    def failing(stop, turn):
        tries.append(len(tries))
        if len(tries) == 1:
            raise RuntimeError("out of order")
        if len(tries) > 2:
            stop.set()

    def going_on(stop, turn):
        steady.set()
        stop.wait()

    supervise("failing", failing, stop, lambda: None, first_pause=0.01)
    assert tries == [0, 1, 2]
    assert "out of order" in caplog.text
    assert "ended by itself" in caplog.text
    stop.clear()
    tries.clear()
    thread = threading.Thread(target=run_loops, args=({"failing": failing, "going on": going_on}, stop))
    thread.start()
    assert steady.wait(30)
    stop.set()
    thread.join(30)
    assert not thread.is_alive()


def test_a_sign_of_life_is_given_until_a_loop_has_no_turn_and_again_when_it_has(tmp_path, monkeypatch, caplog):
    now = [1_000.0]
    monkeypatch.setattr(loops, "time", SimpleNamespace(monotonic=lambda: now[0]))
    sign, turns, given = tmp_path / "live", Turns(["events", "deliveries"]), []
    had_a_turn = [("events", "deliveries"), ("deliveries",), ("deliveries",), ("events", "deliveries")]

    class Stop:
        """A hundred seconds go by with every wait."""

        def wait(self, seconds):
            given.append(sign.exists())
            sign.unlink(missing_ok=True)
            if not had_a_turn:
                return True
            now[0] += 100
            for name in had_a_turn.pop(0):
                turns.of(name)()
            return False

    give_signs(sign, turns, Stop())
    assert given == [True, True, True, False, True]
    assert "no sign of life is given: events" in caplog.text


@pytest.fixture
def told(living):
    """One change of a customer that was applied, counted as if that were a while ago."""
    living.write_sync()
    acme = living.connect_and_sync(ACME)
    first = living.rows("crm_contact")[0]["id"]
    living.control.record(ACME, "Contact", id=first, fields={"LastName": "Moreau"})
    living.tell(acme, "Contact", first)
    living.apply_all()
    (run,) = living.live_runs()
    assert run.run_id == run_id_at(run.started_at)
    past = run_id_at(datetime.now(UTC) - timedelta(minutes=15))
    living.execute_in_store(f"UPDATE runs SET run_id = '{past}' WHERE run_id = '{run.run_id}'")
    return living


def test_dagster_is_told_once_as_a_materialisation_without_a_run(told, tmp_path):
    resource = giving(told.project)
    repository = definitions_of(told.project, resource).get_repository_def()
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:

        def tick(cursor=None):
            with dg.build_sensor_context(
                instance=instance, repository_def=repository, resources={"sync_project": resource}, cursor=cursor
            ) as context:
                return repository.get_sensor_def("live_changes").evaluate_tick(context)

        first = tick()
        (event,) = first.asset_events
        assert (event.asset_key.path, event.partition) == (["crm", "contact"], ACME)
        assert event.metadata["rows_updated"].value == 1
        again = tick(first.cursor)
        assert (list(again.asset_events), again.cursor) == ([], first.cursor)


def test_progress_counts_what_was_told_but_no_attempt(told):
    (health,) = told.project.store.health.connections() or [None]
    if health is None:
        told.project.plan("crm")
        (health,) = told.project.store.health.connections()
    assert health.attempts == 1
    changed = sum(run.counts.changed for run in told.project.store.runs.list(customer_id=ACME))
    assert health.records == changed


def test_metrics_tell_the_backlog_and_the_age_of_its_oldest_event(told):
    events = told.project.store.vendor_events
    acme = told.project.store.connections.get(ACME, "salesforce")
    told.tell(acme, "Contact", "1", "2")
    events.receive("salesforce", [VendorEvent(account_id="nobody", object="Contact", record_id="1")])
    events.refused("hubspot")
    told.execute_in_store("UPDATE vendor_events SET received_at = now() - interval '1 minute'")
    registry = registry_of(HealthCollector(told.project.store.health, events=events))

    def value(name, provider="salesforce"):
        return registry.get_sample_value(f"sync_pipelines_events_{name}", {"provider": provider})

    assert (value("waiting"), value("given_up"), value("unknown_today")) == (2, 0, 1)
    assert value("oldest_seconds") >= 60
    assert value("refused_today", "hubspot") == 1
