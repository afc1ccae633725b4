"""A Postgres server that crashes and comes back in the middle of a run: the warehouse's, the store's, or both."""

import os
import signal
from contextlib import contextmanager
from itertools import count

import pytest

from sync_pipelines.embedded_postgres import EmbeddedPostgres
from sync_pipelines.model.errors import Retry
from sync_pipelines.model.secret import Secret
from sync_pipelines.store import Store
from sync_pipelines_tests.end_to_end.scenes import (
    BEFORE,
    WAYS,
    Scene,
    full_read_with_vanished_records,
    incremental_read,
    made_scene,
    points,
    world_for_scenes,
)
from sync_pipelines_tests.fixtures.migrated_store import KEY
from sync_pipelines_tests.fixtures.place import CUSTOM_SCHEMA
from sync_pipelines_tests.fixtures.postgres import Database
from sync_pipelines_tests.fixtures.quick_folder import quick_folder


@contextmanager
def own_server():
    """One that keeps its promises at a crash, and that no other test uses."""
    with quick_folder() as folder:
        server = EmbeddedPostgres(folder)
        try:
            server.start()
            yield server
        finally:
            server.start()
            server.stop(mode="immediate")


@pytest.fixture(scope="module")
def own_servers():
    with own_server() as store, own_server() as warehouse:
        yield store, warehouse


@pytest.fixture
def servers(own_servers):
    """Of the store and of the warehouse, up again if a test has left one down."""
    for server in own_servers:
        server.start()
    return own_servers


@pytest.fixture(scope="module")
def world():
    with world_for_scenes() as control:
        yield control


_numbers = count(1)


class Databases:
    """As `make_database` makes them, on servers of one's own: the store on the first, the warehouse on the second."""

    def __init__(self, servers):
        self._of_store, self._of_warehouse = servers

    def __call__(self):
        return self._on(self._of_warehouse)

    def migrated(self):
        made = self._on(self._of_store)
        store = Store(made.url(), (Secret(KEY),))
        store.migrate()
        store.close()
        return made

    def _on(self, server):
        name = f"scene_{next(_numbers)}"
        server.create_database(name)
        return Database(server, name)


@pytest.fixture
def scene(world, servers, tmp_path, request):
    with made_scene(Scene, WAYS[request.param], world, Databases(servers), tmp_path / "syncs") as made:
        yield made


def crash_immediately(server):
    server.stop(mode="immediate")


def crash_by_kill(server):
    os.kill(server.pid, signal.SIGKILL)


CRASHES = (crash_immediately, crash_by_kill)


def at(step, passing, act):
    """An observer that acts at the n-th passing of a step."""
    passed = count()

    def observe(now):
        if now == step and next(passed) == passing:
            act()

    return observe


def crash_and_come_back(server, way_to_crash):
    def act():
        way_to_crash(server)
        server.start()

    return act


@pytest.mark.parametrize(
    ("scene", "history"),
    [("hubspot", full_read_with_vanished_records), ("salesforce rest", incremental_read)],
    indirect=["scene"],
)
def test_a_warehouse_that_crashes_at_any_step_costs_a_clear_error_at_most(scene, servers, history):
    history(scene)
    steps, expected = scene.undisturbed()
    for place, (step, passing) in enumerate(points(steps, 0)):
        scope = f"crashed at {step} {passing}"
        scene.stand_as_before(scope)
        began = scene.place.control.now()
        run = scene.sync(scope, at(step, passing, crash_and_come_back(servers[1], CRASHES[place % 2])))
        assert run.status == "success" or (run.status, run.error_type) == ("error", "destination")
        assert run.status == "success" or "by itself" in run.error_message
        assert scene.nothing_is_half_written(scope, expected)
        assert scene.sync(scope).status == "success"
        assert scene.content(scope) == expected
        assert scene.is_at_rest(scope, since=began)


def another_mapping(scene):
    """Everything must be read again, because the customer mapped another field and records are no longer stored."""
    scene.sync(BEFORE)
    scene.before = scene.content(BEFORE)
    fields = scene.place.control.account(scene.way.customer).meanings[scene.way.vendor_object]
    swapped = {**fields, "tier": fields["annual_revenue"]}
    scene.place.map(scene.way.customer, scene.way.provider, "contact", **swapped)
    objects = [{"object": "contact", "custom_schema": CUSTOM_SCHEMA, "raw_fields": False}]
    scene.place.write_sync(provider=scene.way.provider, objects=objects)


@pytest.mark.parametrize("step", ["load.committed", "full.complete"])
@pytest.mark.parametrize("history", [full_read_with_vanished_records, another_mapping])
@pytest.mark.parametrize("scene", ["hubspot"], indirect=True)
def test_a_full_read_whose_seen_ids_a_crash_took_is_done_again_without_being_asked_for(scene, servers, history, step):
    history(scene)
    _, expected = scene.undisturbed()
    scene.stand_as_before("crashed")
    run = scene.sync("crashed", at(step, 0, crash_and_come_back(servers[1], crash_immediately)))
    assert (run.full, run.status, run.error_type) == (True, "error", "destination")
    assert "Nothing was deleted" in run.error_message
    again = scene.sync("crashed", full=False)
    assert (again.full, again.status) == (True, "success")
    assert scene.content("crashed") == expected
    assert scene.sync("crashed", full=False).full is False


STORE_STEPS = ("described", "page.read", "load.upserted", "chunk.stored", "full.complete", "full.deleted")


@pytest.mark.parametrize("scene", ["salesforce rest"], indirect=True)
def test_a_store_that_crashes_at_any_step_does_not_disturb_the_run(scene, servers):
    full_read_with_vanished_records(scene)
    _, expected = scene.undisturbed()
    for place, step in enumerate(STORE_STEPS):
        scope = f"crashed at {step}"
        scene.stand_as_before(scope)
        began = scene.place.control.now()
        run = scene.sync(scope, at(step, 0, crash_and_come_back(servers[0], CRASHES[place % 2])))
        assert run.status == "success"
        assert scene.content(scope) == expected
        assert scene.is_at_rest(scope, since=began)
        assert scene.place.project.store.runs.last("crm", "contact", scene.way.customer).run_id == run.run_id
        assert scene.sync(scope).counts.changed == 0


@pytest.mark.parametrize("scene", ["salesforce rest"], indirect=True)
def test_a_store_that_stays_away_is_a_clear_error_and_the_rows_are_there(scene, servers):
    full_read_with_vanished_records(scene)
    _, expected = scene.undisturbed()
    scene.stand_as_before("stranded")
    with pytest.raises(Retry, match="The store does not answer"):
        scene.sync("stranded", at("page.read", 1, lambda: crash_by_kill(servers[0])))
    assert scene.content("stranded") == expected
    servers[0].start()
    run = scene.sync("stranded")
    assert (run.status, run.counts.changed) == ("success", 0)


@pytest.mark.parametrize("scene", ["salesforce rest"], indirect=True)
def test_a_warehouse_that_stays_away_is_a_clear_error_until_it_is_back(scene, servers):
    full_read_with_vanished_records(scene)
    _, expected = scene.undisturbed()
    scene.stand_as_before("stranded")
    runs = [scene.sync("stranded", at("load.upserted", 1, lambda: crash_by_kill(servers[1]))), scene.sync("stranded")]
    assert [(run.status, run.error_type) for run in runs] == [("error", "destination")] * 2
    assert "cannot be reached" in runs[1].error_message
    servers[1].start()
    assert scene.sync("stranded").status == "success"
    assert scene.content("stranded") == expected


@pytest.mark.parametrize("step", ["load.upserted", "chunk.stored"])
def test_one_server_for_all_that_crashes_is_a_clear_error_and_the_next_run_ends_it(world, servers, tmp_path, step):
    databases = Databases((servers[1], servers[1]))
    with made_scene(Scene, WAYS["hubspot"], world, databases, tmp_path / "syncs") as scene:
        full_read_with_vanished_records(scene)
        _, expected = scene.undisturbed()
        scene.stand_as_before("crashed")
        run = scene.sync("crashed", at(step, 1, crash_and_come_back(servers[1], crash_by_kill)))
        assert (run.status, run.error_type) == ("error", "destination")
        assert scene.sync("crashed").status == "success"
        assert scene.content("crashed") == expected
