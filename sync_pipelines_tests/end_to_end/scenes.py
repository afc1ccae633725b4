"""Scopes of one place that live through the same history, so that disturbed runs can be held to an undisturbed one."""

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from psycopg.rows import dict_row

from sync_pipelines.sandbox.serving import serve
from sync_pipelines.sandbox.world import Recipe
from sync_pipelines_tests.fixtures.place import BRIGHTWATER, CUSTOM_SCHEMA, KESTREL, QUILL, made_place

PASSING = ("_sync_application_id", "_sync_emitted_at", "_sync_run_id")
"""What may differ from scope to scope, and from run to run."""
UNDISTURBED, BEFORE = "undisturbed", "before"
PAGE = 20


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
    mode: str = "upsert"
    chunk_rows: int = 50


WAYS = {
    "salesforce rest": Way("salesforce", KESTREL, "Contact"),
    "salesforce bulk": Way(
        "salesforce",
        BRIGHTWATER,
        "Contact",
        records=430,
        updated=330,
        bulk_above=100,
        cells_per_page=1,
        mode="mirror",
    ),
    "hubspot": Way("hubspot", QUILL, "contacts"),
}


@dataclass
class Scene:
    """Scopes are told apart by their application id. `before`: the rows of BEFORE by id, once that is synced."""

    place: object
    way: Way
    full: bool = False
    before: dict = field(default_factory=dict)
    passed: list = field(default_factory=list)

    def sync(self, scope, observe=None, **options):
        """One run in this process; the steps that it passes are in `passed`."""
        self.passed.clear()

        def watch(step):
            self.passed.append(step)
            if observe is not None:
                observe(step)

        self.place.options = {"application_id": scope, "chunk_rows": self.way.chunk_rows}
        self.place.sleep = lambda seconds: None
        self.place.open()
        return self.place.sync_one(self.way.customer, observe=watch, **{"full": self.full} | options)

    def content(self, scope):
        """Every row by its id."""
        query = "SELECT * FROM crm.crm_contact WHERE _sync_application_id = %s"
        with self.place.warehouse.connect(row_factory=dict_row) as connection:
            rows = connection.execute(query, [scope]).fetchall()
        kept = [{name: value for name, value in row.items() if name not in PASSING} for row in rows]
        found = {row["id"]: row for row in kept}
        assert len(found) == len(rows)
        return found

    def stand_as_before(self, scope):
        """A new scope that holds what BEFORE holds, as if it had lived through the same."""
        if not self.before:
            return
        for table, column in (("crm_contact", "_sync_application_id"), ("_sync_checkpoints", "application_id")):
            moved = f"(jsonb_populate_record(t, jsonb_build_object('{column}', %s::text))).*"
            copied = f"INSERT INTO crm.{table} SELECT {moved} FROM crm.{table} t WHERE t.{column} = %s"
            self.place.execute(copied, scope, BEFORE)

    def undisturbed(self):
        """Live through the run undisturbed: the steps of it and the rows that it leaves, which are the CRM's."""
        self.stand_as_before(UNDISTURBED)
        began = self.place.control.now()
        assert self.sync(UNDISTURBED).status == "success"
        steps = list(self.passed)
        assert Counter(steps)["chunk.stored"] >= 3
        if not self.full:
            # A record that vanished without a trace stays as a deleted row, so there the two differ.
            assert self.place.differences(self.way.customer) == []
        expected = self.content(UNDISTURBED)
        assert self.is_at_rest(UNDISTURBED, since=began)
        return steps, expected

    def nothing_is_half_written(self, scope, after):
        """In the middle of a run: every row is one of its two versions, none is missing, none deleted but rightly."""
        content = self.content(scope)
        for id, row in content.items():
            versions = [version[id]["raw_data"] for version in (self.before, after) if id in version]
            assert row["raw_data"] in versions
            assert not row["is_deleted"] or id not in after or after[id]["is_deleted"]
        return self.before.keys() & after.keys() <= content.keys()

    def is_at_rest(self, scope, since):
        """Nothing is under way any more, and the checkpoint says what was read since a time of the vendor's clock."""
        query = "SELECT state, version, seen FROM crm._sync_checkpoints WHERE application_id = %s AND customer_id = %s"
        ((state, version, seen),) = self.place.execute(query, scope, self.way.customer)
        kept = "SELECT count(*) FROM crm._sync_seen WHERE application_id = %s"
        assert state.get("reading") is None
        # The Date header, by which the vendor's clock is known, has whole seconds.
        assert datetime.fromisoformat(state["read_until"]) >= since - timedelta(seconds=1)
        assert datetime.fromisoformat(state["read_until"]) <= self.place.control.now()
        assert version > 0
        return (seen, self.place.execute(kept, scope)) == (0, [(0,)])


@contextmanager
def world_for_scenes():
    sizes = {way.customer: {way.vendor_object: way.records} for way in WAYS.values()}
    with serve(Recipe(seed=7, scale=0.01, sizes=sizes)) as control:
        yield control


@contextmanager
def made_scene(kind, way, world, make_database, folder):
    """A Scene (or a kind of it) on a world that is as it was made, with the customer connected and mapped."""
    world.reset()
    with made_place(world, make_database, folder) as place:
        place.write_sync(
            provider=way.provider,
            bulk_above=way.bulk_above,
            mode=way.mode,
            objects=[{"object": "contact", "custom_schema": CUSTOM_SCHEMA}],
        )
        (account,) = place.connect(way.customer)
        place.map(way.customer, way.provider, "contact", **account.meanings[way.vendor_object])
        world.fault(way.customer, "short_pages", size=PAGE)
        yield kind(place, way)


def first_full_read(scene):
    """Nothing is there yet."""


def incremental_read(scene):
    scene.sync(BEFORE)
    scene.before = scene.content(BEFORE)
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
    passings = (lambda times: 0, lambda times: times // 2, lambda times: times - 1)
    return [(step, passings[(turn + place) % 3](times)) for place, (step, times) in enumerate(Counter(steps).items())]
