"""A sync process killed with SIGKILL at every named step: what is there after the next run is what would have been."""

import signal
import time
from collections import Counter
from dataclasses import dataclass

import pytest

from sync_pipelines_tests.end_to_end.crash_runner import CrashRunner, running
from sync_pipelines_tests.end_to_end.scenes import (
    BEFORE,
    HISTORIES,
    WAYS,
    Scene,
    full_read_with_vanished_records,
    made_scene,
    points,
    world_for_scenes,
)
from sync_pipelines_tests.fixtures.place import BRIGHTWATER

FEWEST_POINTS = 10
LEASE_SECONDS = 10


@dataclass
class CrashScene(Scene):
    """A scene whose runs are processes of their own."""

    runner: CrashRunner = None

    def start(self, scope, **options):
        return self.runner.sync(
            self.place,
            self.way.customer,
            application_id=scope,
            cells_per_page=self.way.cells_per_page,
            chunk_rows=self.way.chunk_rows,
            **{"full": self.full} | options,
        )

    def sync(self, scope, **options):
        ended = self.start(scope, **options)
        self.passed[:] = ended.steps
        self.place.options = {"application_id": scope}
        self.place.open()
        return ended.run

    def lease_is_free_at_once(self, scope):
        """Without waiting for anything but that the server notices the end of the dead process's line."""
        hold = self.place.project.store.leases.hold
        deadline = time.monotonic() + LEASE_SECONDS
        while time.monotonic() < deadline:
            with hold(scope, "crm", self.way.customer, "contact") as free:
                if free:
                    return True
        return False


@pytest.fixture(scope="module")
def world():
    with world_for_scenes() as control:
        yield control


@pytest.fixture(scope="module")
def runner():
    with running() as runner:
        yield runner


@pytest.fixture
def scene(world, runner, make_database, tmp_path, request):
    with made_scene(CrashScene, WAYS[request.param], world, make_database, tmp_path / "syncs") as made:
        made.runner = runner
        yield made


@pytest.mark.parametrize("turn", range(len(HISTORIES)), ids=[history.__name__ for history in HISTORIES])
@pytest.mark.parametrize("scene", WAYS, indirect=True)
def test_a_run_killed_at_any_step_and_run_again_ends_like_an_undisturbed_one(scene, turn):
    HISTORIES[turn](scene)
    steps, expected = scene.undisturbed()
    chosen = points(steps, turn + list(WAYS.values()).index(scene.way))
    assert len(chosen) >= FEWEST_POINTS
    for step, passing in chosen:
        scope = f"killed at {step} {passing}"
        scene.stand_as_before(scope)
        began = scene.place.control.now()
        killed = scene.start(scope, die_at=(step, passing))
        assert (killed.signal, killed.steps[-1]) == (signal.SIGKILL, step)
        assert scene.lease_is_free_at_once(scope)
        assert scene.nothing_is_half_written(scope, expected)
        assert scene.sync(scope).status == "success"
        assert scene.content(scope) == expected
        assert scene.is_at_rest(scope, since=began)
    scene.full = False
    assert scene.sync(scope).changed == 0


@pytest.mark.parametrize("scene", WAYS, indirect=True)
def test_a_run_that_is_killed_after_every_chunk_gets_to_its_end(scene):
    full_read_with_vanished_records(scene)
    began = scene.place.control.now()
    steps, expected = scene.undisturbed()
    scene.stand_as_before("killed")
    for _ in range(Counter(steps)["load.committed"]):
        assert scene.start("killed", die_at=("load.committed", 0)).signal == signal.SIGKILL
        assert scene.lease_is_free_at_once("killed")
    assert scene.sync("killed").status == "success"
    assert "page.read" not in scene.passed
    assert scene.content("killed") == expected
    assert scene.is_at_rest("killed", since=began)


@pytest.mark.parametrize("scene", ["salesforce rest"], indirect=True)
def test_a_backfill_that_is_killed_after_every_page_goes_on_and_touches_nobody_else(scene):
    place, way = scene.place, scene.way
    (neighbour,) = place.connect(BRIGHTWATER)
    place.map(BRIGHTWATER, way.provider, "contact", **neighbour.meanings[way.vendor_object])
    scene.sync(BEFORE)
    assert place.sync_one(BRIGHTWATER).status == "success"
    scene.before = scene.content(BEFORE)
    place.control.change(way.customer, way.vendor_object, updated=way.updated, created=40, deleted=25)
    fields = dict(place.control.account(way.customer).meanings[way.vendor_object])
    swapped = {"tier": fields["annual_revenue"], "annual_revenue": fields["tier"]}
    place.map(way.customer, way.provider, "contact", **fields | swapped)
    steps, expected = scene.undisturbed()
    pages = Counter(steps)["backfill.stored"]
    assert pages >= 4
    scene.stand_as_before("killed")

    def neighbours():
        query = "SELECT * FROM crm.crm_contact WHERE _sync_application_id = 'killed' AND _sync_customer_id = %s"
        return sorted(place.execute(query, BRIGHTWATER), key=repr)

    def start(die_at=None):
        options = {"application_id": "killed", "chunk_rows": way.chunk_rows, "die_at": die_at}
        return scene.runner.sync(place, way.customer, BRIGHTWATER, **options)

    others = neighbours()
    assert len(others) > 20
    for _ in range(pages):
        killed = start(die_at=("backfill.stored", 0))
        assert killed.signal == signal.SIGKILL
        assert scene.lease_is_free_at_once("killed")
        assert scene.content("killed").keys() >= scene.before.keys()
        assert neighbours() == others
    ended = start()
    assert {run.status for run in ended.runs} == {"success"}
    assert "backfill.stored" not in ended.steps, "what was done before a kill is not done again"
    assert scene.content("killed") == expected
    assert neighbours() == others
