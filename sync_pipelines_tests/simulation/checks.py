"""What holds after every run, whatever happened in it, and what holds when everything is quiet."""

from sync_pipelines_tests.simulation.story import Broken

_SCOPE = "_sync_application_id = %s AND _sync_provider_name = %s AND _sync_customer_id = %s"
_SEEN = f"SELECT id, last_modified_at, is_deleted, _sync_run_id AS run FROM {{table}} WHERE {_SCOPE}"
_ALL = f"SELECT * FROM {{table}} WHERE {_SCOPE} ORDER BY id"
_BYSTANDERS = (
    """
INSERT INTO {table} SELECT (jsonb_populate_record(t, %s::jsonb)).* FROM {table} t WHERE
"""
    + _SCOPE
)
_OTHERS = f"""
SELECT count(*), md5(string_agg(jsonb_strip_nulls(to_jsonb(t))::text, ',' ORDER BY id, t.*::text)) AS digest
FROM {{table}} t WHERE NOT ({_SCOPE})
"""
CHECKPOINTS = "_sync_checkpoints"
_UNDER_WAY = "SELECT 1 FROM {table} WHERE state -> 'reading' <> 'null'"
_OTHER_SCOPES = (
    '{"_sync_customer_id": "somebody-else"}',
    '{"_sync_application_id": "another"}',
    '{"_sync_provider_name": "third"}',
)


class Destination:
    """The scope's rows as an outsider sees them."""

    def __init__(self, ground, table, scope):
        self._ground = ground
        self._table = table
        self._scope = scope
        self._others = None

    def seen(self):
        """{id: row} with what the checks after a run need."""
        if not self._ground.has(self._table):
            return {}
        rows = self._ground.ask(_SEEN, *self._scope, table=self._table)
        found = {row["id"]: row for row in rows}
        if len(found) != len(rows):
            raise Broken("an id is there twice")
        return found

    def rows(self):
        if not self._ground.has(self._table):
            return []
        return self._ground.ask(_ALL, *self._scope, table=self._table)

    def place_bystanders(self):
        """Copies of the rows that differ in one part of the key each: nobody may touch them any more."""
        if self._others is None and self.seen():
            for others in _OTHER_SCOPES:
                self._ground.ask(_BYSTANDERS, others, *self._scope, table=self._table)
            self._others = self._digest()

    def check_bystanders(self):
        if self._others is not None and self._others != self._digest():
            raise Broken("rows of another customer, application or provider have changed")

    def is_read_to_its_end(self):
        """Whether no reading waits to be gone on with."""
        return not self._ground.has(CHECKPOINTS) or not self._ground.ask(_UNDER_WAY, table=CHECKPOINTS)

    def check_at_rest(self):
        """No reading is under way and no id of one is kept."""
        for row in self._ground.ask("SELECT state FROM {table}", table=CHECKPOINTS):
            if row["state"].get("reading") is not None:
                raise Broken(f"a reading is left under way: {row['state']}")
        if self._ground.ask("SELECT 1 FROM {table}", table="_sync_seen"):
            raise Broken("ids of a finished full read are left")

    def _digest(self):
        return self._ground.ask(_OTHERS, *self._scope, table=self._table)


def check_rows(before, after, mode, *, removes=False):
    """Whoever wrote between the two. `removes`: rows of records that leave the filter go."""
    for id, row in after.items():
        old = before.get(id)
        if old and old["last_modified_at"] and row["last_modified_at"] < old["last_modified_at"]:
            raise Broken(f"{id}: an older version ({row['last_modified_at']}) over {old['last_modified_at']}")
    lost = before.keys() - after.keys()
    if lost and mode != "mirror" and not removes:
        raise Broken(f"rows vanished although the mode is {mode}: {sorted(lost)}")


def check_appended(before, after):
    """Rows are all that they were, to the last byte, and empty in columns that are new. The ones that were added."""
    added = {row["id"]: row for row in after}
    for row in before:
        now = added.pop(row["id"], {})
        if now != dict.fromkeys(now) | row:
            raise Broken(f"{row['id']} was touched although the mode is append")
    return list(added.values())


def check_counts(run, before, after, mode, *, removes=False):
    """For a run that was alone from `before` to `after`: its counts are what happened to the rows."""
    counts = run.counts
    expected = len(before) + counts.created - (counts.deleted if mode == "mirror" else 0)
    least = expected - (counts.deleted if removes and mode == "upsert" else 0)
    if not least <= len(after) <= expected:
        raise Broken(f"{len(before)} rows, then {counts}, and now {len(after)} rows")
    touched = sum(before.get(id) is None or before[id]["run"] != row["run"] for id, row in after.items())
    if touched > counts.created + counts.updated + counts.deleted:
        raise Broken(f"{touched} rows were written and {counts} told")
    if mode == "append" and (counts.updated or counts.deleted):
        raise Broken(f"rows are only added, and {counts} told")
    if counts.changed == 0 and before != after:
        raise Broken("the run told of no change and changed rows")
    if min(counts.created, counts.updated, counts.unchanged, counts.deleted, counts.rejected, counts.read) < 0:
        raise Broken(f"a count below zero: {counts}")
