"""Values that did not fit, as rows keep them in their errors: one statement for all customers that are asked for."""

from collections.abc import Sequence
from typing import Any, Final

from psycopg import sql

from sync_pipelines.destinations.postgres.checkpoints import scope_parameters
from sync_pipelines.destinations.postgres.layout import KEY, Layout
from sync_pipelines.destinations.postgres.names import in_query
from sync_pipelines.destinations.postgres.pool import Connection
from sync_pipelines.model.destination import Scope
from sync_pipelines.model.failed_value import FailedCount, FailedPlace, FailedValue

_IS_THERE: Final = "SELECT to_regclass(format('%%I.%%I', %s::text, %s::text)) IS NOT NULL"

_VALUES: Final = """
SELECT t.{customer_id} AS customer_id, t.id, e.key AS "column", coalesce(e.value ->> 'field', '') AS field,
  e.value ->> 'value' AS value, coalesce(e.value ->> 'reason', '') AS reason
FROM {table} t CROSS JOIN LATERAL jsonb_each(t.{errors}) e
WHERE t.{application_id} = %(application_id)s AND t.{provider_name} = %(provider)s
  AND t.{customer_id} = ANY(%(customers)s::text[])
  AND t.{errors} IS NOT NULL AND t.is_deleted IS NOT TRUE
"""
_PAGE: Final = """
SELECT * FROM ({values}) v {behind}
ORDER BY customer_id COLLATE "C", id COLLATE "C", "column" COLLATE "C" LIMIT %(limit)s
"""
_BEHIND: Final = """WHERE (customer_id COLLATE "C", id COLLATE "C", "column" COLLATE "C")
  > (%(customer_id)s::text, %(id)s::text, %(column)s::text)"""
_COUNTS: Final = """
SELECT customer_id, "column", field, reason, count(*) FROM ({values}) v
GROUP BY customer_id, "column", field, reason
ORDER BY count(*) DESC, customer_id COLLATE "C", "column" COLLATE "C", field COLLATE "C", reason COLLATE "C"
"""


def failed_values(
    connection: Connection, layout: Layout, scopes: Sequence[Scope], after: FailedPlace | None, limit: int
) -> list[FailedValue]:
    """See `model.destination.Destination.failed`."""
    values = {"limit": limit, **(after._asdict() if after is not None else {})}
    found = _asked(connection, layout, scopes, _PAGE, values, behind=sql.SQL(_BEHIND if after is not None else ""))
    return [
        FailedValue(customer_id=customer, id=id, column=column, field=field, value=value, reason=reason)
        for customer, id, column, field, value, reason in found
    ]


def failed_counts(connection: Connection, layout: Layout, scopes: Sequence[Scope]) -> list[FailedCount]:
    """See `model.destination.Destination.failed_counts`."""
    found = _asked(connection, layout, scopes, _COUNTS, {})
    return [
        FailedCount(customer_id=customer, column=column, field=field, reason=reason, rows=rows)
        for customer, column, field, reason, rows in found
    ]


def _asked(
    connection: Connection,
    layout: Layout,
    scopes: Sequence[Scope],
    template: str,
    more: dict[str, Any],
    **parts: sql.Composable,
) -> list[tuple[Any, ...]]:
    if not scopes or connection.execute(_IS_THERE, [layout.schema, layout.physical]).fetchone() != (True,):
        return []
    names = {name: in_query(layout.meta(name)) for name in (*KEY, "errors")}
    values = sql.SQL(_VALUES).format(table=in_query(layout.schema, layout.physical), **names)
    statement = sql.SQL(template).format(values=values, **parts)
    asked = scope_parameters(scopes[0]) | {"customers": [scope.customer_id for scope in scopes]} | more
    return connection.execute(statement, asked).fetchall()
