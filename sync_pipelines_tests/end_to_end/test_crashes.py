"""A sync process killed with SIGKILL at every named step: what is there after the next run is what would have been."""

import signal
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest
from psycopg.rows import dict_row

from sync_pipelines.cli.demo.verify import differences
from sync_pipelines.sandbox.serving import serve
from sync_pipelines.sandbox.world import Recipe
from sync_pipelines_tests.end_to_end.crash_runner import running
from sync_pipelines_tests.fixtures.place import BRIGHTWATER, CUSTOM_SCHEMA, KESTREL, QUILL, made_place

UNDISTURBED = "undisturbed"
FEWEST_POINTS = 10
PASSING = ("_sync_application_id", "_sync_emitted_at", "_sync_run_id")
PASSINGS = {"first": lambda times: 0, "middle": lambda times: times // 2, "last": lambda times: times - 1}
LEASE_SECONDS = 10


@dataclass(frozen=True)
class Way:
    """One way to read, in small pages and chunks of some of them. Bulk's smallest pages hold 200 records."""

    provider: str
    customer: str
    vendor_object: str
    records: int = 220
    updated: int = 70
    bulk_above: int = 100_000
    cells_per_page: int | None = None
    chunk_rows: int = 50


WAYS = {
    "salesforce rest": Way("salesforce", KESTREL, "Contact"),
    "salesforce bulk": Way(
        "salesforce", BRIGHTWATER, "Contact", records=430, updated=330, bulk_above=100, cells_per_page=1
    ),
    "hubspot": Way("hubspot", QUILL, "contacts"),
}


@dataclass
class Scene:
    """One place where many scopes, told apart by their application id, each live through the same run."""

    place: object
    runner: object
    way: Way
    full: bool = False
    before: dict = field(default_factory=dict)

    def sync(self, scope, **options):
        return self.runner.sync(
            self.place,
            self.way.customer,
            application_id=scope,
            cells_per_page=self.way.cells_per_page,
            **{"chunk_rows": self.way.chunk_rows, "full": self.full} | options,
        )

    def content(self, scope):
        """Every row by its id, without what may differ from run to run."""
        query = "SELECT * FROM crm.crm_contact WHERE _sync_application_id = %s"
        with self.place.warehouse.connect(row_factory=dict_row) as connection:
            rows = connection.execute(query, [scope]).fetchall()
        kept = [{name: value for name, value in row.items() if name not in PASSING} for row in rows]
        found = {row["id"]: row for row in kept}
        assert len(found) == len(rows)
        return found

    def stand_as(self, base, scope):
        """A new scope with what another one holds, as if it had lived through the same."""
        for table, column in (("crm_contact", "_sync_application_id"), ("_sync_checkpoints", "application_id")):
            moved = f"(jsonb_populate_record(t, jsonb_build_object('{column}', %s::text))).*"
            copied = f"INSERT INTO crm.{table} SELECT {moved} FROM crm.{table} t WHERE t.{column} = %s"
            self.place.execute(copied, scope, base)

    def checkpoint(self, scope):
        query = "SELECT state, version, seen FROM crm._sync_checkpoints WHERE application_id = %s"
        ((state, version, seen),) = self.place.execute(query, scope)
        return state, version, seen

    def kept_ids(self, scope):
        return self.place.execute("SELECT count(*) FROM crm._sync_seen WHERE application_id = %s", scope)[0][0]


@pytest.fixture(scope="module")
def runner():
    with running() as runner:
        yield runner


@pytest.fixture(scope="module")
def world():
    sizes = {way.customer: {way.vendor_object: way.records} for way in WAYS.values()}
    with serve(Recipe(seed=7, scale=0.01, sizes=sizes)) as control:
        yield control


@pytest.fixture
def scene(world, runner, make_database, tmp_path, request):
    way = WAYS[request.param]
    world.reset()
    with made_place(world, make_database, tmp_path / "syncs") as place:
        place.write_sync(
            provider=way.provider,
            bulk_above=way.bulk_above,
            objects=[{"object": "contact", "custom_schema": CUSTOM_SCHEMA}],
        )
        (account,) = place.connect(way.customer)
        place.map(way.customer, way.provider, "contact", **account.meanings[way.vendor_object])
        world.fault(way.customer, "short_pages", size=20)
        yield Scene(place, runner, way)


def first_full_read(scene):
    """Nothing is there yet."""


def incremental_read(scene):
    assert scene.sync("before").run["full"]
    scene.before = scene.content("before")
    scene.place.control.change(
        scene.way.customer, scene.way.vendor_object, updated=scene.way.updated, created=40, deleted=25, merged=4
    )


def full_read_with_vanished_records(scene):
    incremental_read(scene)
    alive = [id for id, row in scene.before.items() if not row["is_deleted"]]
    for id in alive[10:170:4]:
        scene.place.control.record(scene.way.customer, scene.way.vendor_object, operation="purge", id=id)
    scene.full = True


HISTORIES = (first_full_read, incremental_read, full_read_with_vanished_records)


def points(steps, turn):
    """Every named step once, the first, a middle or the last passing of it in turn: [(step, passing), ...]."""
    passings = list(PASSINGS.values())
    return [(step, passings[(turn + place) % 3](times)) for place, (step, times) in enumerate(Counter(steps).items())]


def lease_is_free_at_once(scene, scope):
    """Without waiting for anything but the server to notice that the dead process's line is closed."""
    hold = scene.place.project.store.leases.hold
    deadline = time.monotonic() + LEASE_SECONDS
    while time.monotonic() < deadline:
        with hold(scope, "crm", scene.way.customer, "contact") as free:
            if free:
                return True
    return False


def nothing_is_half_written(scene, scope, after):
    for id, row in scene.content(scope).items():
        versions = [version[id]["raw_data"] for version in (scene.before, after) if id in version]
        assert row["raw_data"] in versions
        assert not row["is_deleted"] or after[id]["is_deleted"]
    return True


def is_at_rest(scene, scope):
    """The checkpoint of a scope whose newest read is complete."""
    (state, version, seen), (known, _, _) = scene.checkpoint(scope), scene.checkpoint(UNDISTURBED)
    assert state.get("reading") is None
    assert state["read_until"] >= known["read_until"]
    assert {name: state[name] for name in ("fingerprint", "account_id")} == {
        name: known[name] for name in ("fingerprint", "account_id")
    }
    assert version > 0
    return (seen, scene.kept_ids(scope)) == (0, 0)


def undisturbed(scene):
    """The steps of a run that nobody disturbs, and what it leaves, which is what the CRM holds."""
    if scene.before:
        scene.stand_as("before", UNDISTURBED)
    ended = scene.sync(UNDISTURBED)
    assert (ended.signal, ended.run["status"]) == (None, "success")
    scene.place.options["application_id"] = UNDISTURBED
    scene.place.open()
    if not scene.full:
        # A record that vanished without a trace stays as a deleted row, so there the two differ.
        assert differences(scene.place.project, scene.place.control)[f"{scene.way.customer}/crm/contact"] == []
    return ended.steps, scene.content(UNDISTURBED)


@pytest.mark.parametrize("turn", range(len(HISTORIES)), ids=[history.__name__ for history in HISTORIES])
@pytest.mark.parametrize("scene", WAYS, indirect=True)
def test_a_run_killed_at_any_step_and_run_again_ends_like_an_undisturbed_one(scene, turn):
    HISTORIES[turn](scene)
    steps, expected = undisturbed(scene)
    assert Counter(steps)["chunk.stored"] >= 3
    chosen = points(steps, turn + list(WAYS.values()).index(scene.way))
    assert len(chosen) >= FEWEST_POINTS
    for step, passing in chosen:
        scope = f"killed at {step} {passing}"
        if scene.before:
            scene.stand_as("before", scope)
        killed = scene.sync(scope, die_at=(step, passing))
        assert (killed.signal, killed.steps[-1]) == (signal.SIGKILL, step)
        assert lease_is_free_at_once(scene, scope)
        assert nothing_is_half_written(scene, scope, expected)
        again = scene.sync(scope)
        assert (again.signal, again.run["status"]) == (None, "success"), again.run
        assert scene.content(scope) == expected
        assert is_at_rest(scene, scope)
    assert scene.sync(scope, full=False).run["changed"] == 0


@pytest.mark.parametrize("scene", WAYS, indirect=True)
def test_a_run_that_is_killed_after_every_chunk_gets_to_its_end(scene):
    full_read_with_vanished_records(scene)
    steps, expected = undisturbed(scene)
    scene.stand_as("before", "killed")
    chunks = Counter(steps)["load.committed"]
    for _ in range(chunks):
        assert scene.sync("killed", die_at=("load.committed", 0)).signal == signal.SIGKILL
        assert lease_is_free_at_once(scene, "killed")
    last = scene.sync("killed")
    assert last.run["status"] == "success"
    assert Counter(last.steps)["page.read"] == 0
    assert scene.content("killed") == expected
    assert is_at_rest(scene, "killed")
