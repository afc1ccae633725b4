"""Row-level security: whoever reads a table sees the rows of one customer, the one that a setting of the session names.

The owner of the tables, who writes them, is not bound. What is switched off loses its policy and keeps its security:
then nobody but the owner sees a row, until a person decides otherwise.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from psycopg import sql

from sync_pipelines.config import RowLevelSecurity
from sync_pipelines.destinations.postgres.layout import CHECKPOINTS, SEEN, Layout
from sync_pipelines.destinations.postgres.names import identifier
from sync_pipelines.destinations.postgres.place import Place
from sync_pipelines.destinations.postgres.pool import Connection
from sync_pipelines.model.errors import DestinationError

POLICY: Final = "sync_pipelines_customer"
"""Of each table. Other policies are never touched."""
OLDEST_FOR_VIEWS: Final = 150_000
"""Before it every view reads with the rights of its owner, who sees all rows."""

_STATE: Final = """
SELECT c.relname, c.relrowsecurity, coalesce('security_invoker=true' = ANY(c.reloptions), false),
  p.oid IS NOT NULL AND p.polroles = ARRAY[coalesce(r.oid, 0)], obj_description(p.oid, 'pg_policy'),
  p.oid IS NOT NULL, coalesce(has_table_privilege(r.oid, c.oid, 'SELECT'), %(role)s::text IS NULL),
  coalesce(has_schema_privilege(r.oid, n.oid, 'USAGE'), %(role)s::text IS NULL)
FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
LEFT JOIN pg_catalog.pg_policy p ON p.polrelid = c.oid AND p.polname = %(policy)s
LEFT JOIN pg_catalog.pg_roles r ON r.rolname = %(role)s
WHERE n.nspname = %(schema)s AND c.relname = ANY(%(names)s::name[])
"""

_READER: Final = """
SELECT r.rolsuper OR r.rolbypassrls, pg_has_role(r.oid, current_user, 'USAGE')
FROM pg_catalog.pg_roles r WHERE r.rolname = %s
"""

_STRANGERS: Final = """
SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = ANY(%s::name[]) AND NOT pg_has_role(c.relowner, 'USAGE')
"""


class _State(NamedTuple):
    """Of a relation. `same_role` and `comment` are of our policy; the last two of the reading role."""

    is_secured: bool
    reads_as_caller: bool
    same_role: bool
    comment: str | None
    has_policy: bool
    may_read: bool
    may_enter: bool


def statements_to_secure(
    connection: Connection, layout: Layout, security: RowLevelSecurity | None
) -> list[sql.Composed]:
    """What is left to do on tables that are there. DestinationError when it cannot be done."""
    found = _look(connection, layout, security)
    if security is None:
        table = found.get(layout.physical)
        return [_drop(layout)] if table is not None and table.has_policy else []
    if security.role is not None and connection.execute(_READER, [security.role]).fetchone() is None:
        raise DestinationError(_no_role(security.role))
    return list(_steps(found, layout, security))


def refuse_views_of_old_servers(connection: Connection, layout: Layout) -> None:
    """DestinationError when a view would show everybody's rows."""
    if layout.has_view and connection.info.server_version < OLDEST_FOR_VIEWS:
        raise DestinationError(
            f"row_level_security does not reach through the view {layout.named} before Postgres 15: upgrade the "
            "server, leave out metadata_prefix, or leave out row_level_security."
        )


def check_row_security(connection: Connection, place: Place) -> None:
    """DestinationError when it would not protect anybody, or could not be switched on."""
    security = place.row_level_security
    if security is None:
        return
    if security.role is not None:
        row = connection.execute(_READER, [security.role]).fetchone()
        if row is None:
            raise DestinationError(_no_role(security.role))
        above, owns = row
        if above or owns:
            why = "is a superuser or has BYPASSRLS" if above else f"has the rights of {place.server.user}, the owner"
            raise DestinationError(
                f"row_level_security of {place} does not bind its role {security.role}, which {why}: name a role "
                "that may only read."
            )
    (strangers,) = connection.execute(_STRANGERS, [place.schema, [CHECKPOINTS, SEEN]]).fetchone() or (0,)
    if strangers:
        raise DestinationError(
            f"User {place.server.user} does not own the tables in the schema {place.schema} of {place}, so it cannot "
            "switch on row_level_security and would not see their rows itself: make it their owner."
        )


def _no_role(role: str) -> str:
    name = role.replace('"', '""')
    return f'row_level_security names the role {role}, which does not exist: CREATE ROLE "{name}", or correct its name.'


def _look(connection: Connection, layout: Layout, security: RowLevelSecurity | None) -> Mapping[str, _State]:
    values = {
        "policy": POLICY,
        "role": security.role if security is not None else None,
        "schema": layout.schema,
        "names": [layout.physical, layout.named, CHECKPOINTS, SEEN],
    }
    return {name: _State(*state) for name, *state in connection.execute(_STATE, values)}


def _steps(found: Mapping[str, _State], layout: Layout, security: RowLevelSecurity) -> Iterator[sql.Composed]:
    for name, state in found.items():
        # Our own tables get no policy, so that nobody else sees them, whatever was granted on the whole schema.
        if name in (layout.physical, CHECKPOINTS, SEEN) and not state.is_secured:
            yield sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(identifier(layout.schema, name))
    if layout.has_view and not found[layout.named].reads_as_caller:
        view = identifier(layout.schema, layout.named)
        yield sql.SQL("ALTER VIEW {} SET (security_invoker = true)").format(view)
    table = found[layout.physical]
    comment = f"Made by sync_pipelines: rows whose {layout.meta('customer_id')} is the setting {security.setting}."
    if not table.same_role or table.comment != comment:
        if table.has_policy:
            yield _drop(layout)
        yield from _policy(layout, security, comment)
    if security.role is not None:
        yield from _rights(found, layout, security.role)


def _drop(layout: Layout) -> sql.Composed:
    return sql.SQL("DROP POLICY {} ON {}").format(identifier(POLICY), identifier(layout.schema, layout.physical))


def _policy(layout: Layout, security: RowLevelSecurity, comment: str) -> Iterator[sql.Composed]:
    policy, table = identifier(POLICY), identifier(layout.schema, layout.physical)
    # A subquery is evaluated once for a statement, not for each row.
    yield sql.SQL("CREATE POLICY {} ON {} FOR SELECT TO {} USING ({} = (SELECT current_setting({}, true)))").format(
        policy,
        table,
        identifier(security.role) if security.role is not None else sql.SQL("PUBLIC"),
        identifier(layout.meta("customer_id")),
        sql.Literal(security.setting),
    )
    yield sql.SQL("COMMENT ON POLICY {} ON {} IS {}").format(policy, table, sql.Literal(comment))


def _rights(found: Mapping[str, _State], layout: Layout, role: str) -> Iterator[sql.Composed]:
    if not found[layout.physical].may_enter:
        yield sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(identifier(layout.schema), identifier(role))
    for name in dict.fromkeys((layout.physical, layout.named)):
        if not found[name].may_read:
            yield sql.SQL("GRANT SELECT ON {} TO {}").format(identifier(layout.schema, name), identifier(role))
