"""What a plan says, what was seen to happen, and both in the same words."""

import uuid

from psycopg.rows import tuple_row

from sync_pipelines.plans.applying import apply_plan
from sync_pipelines.plans.making import make_plan
from sync_pipelines.plans.plan import FIRST_READ, FULL_READ, REMAP, plan_from

OWN = ("_sync_checkpoints", "_sync_seen")


def columns_of(place):
    """{(schema, table): {column: type}} of the warehouse."""
    with place.warehouse.connect(row_factory=tuple_row) as connection:
        rows = connection.execute(
            "SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod) "
            "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') "
            "AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
        ).fetchall()
    found = {}
    for schema, table, column, kind in rows:
        if table not in OWN:
            found.setdefault((schema, table), {})[column] = kind
    return found


def observed(before, after):
    """(tables that came, {table: {column: type} that came}, {table: {column: (type, type)} that changed})."""
    added, retyped = {}, {}
    for table in before:
        old, new = before[table], after[table]
        assert all(name in new or "__was_" in name for name in old), "no column ever goes, it may come back"
        if more := {name: kind for name, kind in new.items() if name not in old}:
            added[table] = more
        if other := {name: (old[name], kind) for name, kind in new.items() if old.get(name, kind) != kind}:
            retyped[table] = other
    return after.keys() - before.keys(), added, retyped


def told(plan):
    """The same of a plan."""
    every = [((schema, change.table), change) for change in plan.tables for schema in change.schemas]
    retyped = {table: {name: tuple(pair) for name, pair in change.retyped.items()} for table, change in every}
    return (
        {table for table, change in every if change.action == "create"},
        {table: come for table, change in every if (come := dict(change.added) | aside(change))},
        {table: pairs for table, pairs in retyped.items() if pairs},
    )


def aside(change):
    """Columns that come because another one moves there."""
    return {new: change.retyped[old][0] for old, new in change.renamed.items() if old in change.retyped}


def planned(place, only=()):
    """A plan, as it comes back from its file."""
    return plan_from(make_plan(place.project, only, actor="ann").json())


def reads(plan, *, caused=True):
    return {(each.sync, each.object, each.kind): set(each.customers) for each in plan.reads if each.caused is caused}


def applied(place, plan):
    """Apply it, and see that the database changed exactly as the plan says."""
    before = columns_of(place)
    done = apply_plan(place.project, plan, actor="ann")
    assert observed(before, columns_of(place)) == told(plan)
    return done


def due(place):
    """{(sync, customer): objects} of what was asked for."""
    with place.store.connect() as connection:
        rows = connection.execute("SELECT sync, customer_id, asked_objects FROM due WHERE asked_at IS NOT NULL")
        return {(sync, customer): set(objects) for sync, customer, objects in rows}


def nothing_is_asked_for(place):
    """As when what was due has been done."""
    with place.store.connect() as connection:
        connection.execute("UPDATE due SET asked_at = NULL, asked_objects = NULL")


def carried_out(place, sync="crm"):
    """Run a sync for everybody: {(sync, object, kind): customers} by what the runs did."""
    found = {}
    declared = place.project.sync(sync)
    customers = [each.customer_id for each in place.project.connections(sync)]
    positions = {
        (object_name, customer)
        for schema in ("crm", "acme_own")
        if (schema, OWN[0]) in place.execute("SELECT schemaname, tablename FROM pg_tables")
        for object_name, customer in place.execute(
            f"SELECT object, customer_id FROM {schema}._sync_checkpoints WHERE sync = %s", sync
        )
        if (schema == "acme_own") is ("schema" in str(declared.overrides.get(customer)))
    }
    objects = {each.object: customers for each in declared.objects}
    for run in place.project.sync_objects(sync, objects, run_id=uuid.uuid4().hex):
        assert run.status == "success", run.error_message
        kind = FULL_READ if run.full else None
        if (run.object, run.customer_id) not in positions:
            kind = FIRST_READ
        elif any("made anew for" in notice for notice in run.notices):
            kind = REMAP
        if kind:
            found.setdefault((sync, run.object, kind), set()).add(run.customer_id)
    return found
