"""How many rows each customer has in a table: one statement, which walks the key's index once for each customer."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from psycopg import sql

from sync_pipelines.destinations.postgres.checkpoints import scope_parameters
from sync_pipelines.destinations.postgres.layout import CHECKPOINTS, KEY, Layout
from sync_pipelines.destinations.postgres.names import in_query
from sync_pipelines.destinations.postgres.pool import Connection
from sync_pipelines.model.completeness import Stock
from sync_pipelines.model.destination import Scope

_IS_THERE: Final = """
SELECT count(*) = 2 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = ANY(%s::name[]) AND c.relkind IN ('r', 'p')
"""

_STOCKS: Final = """
SELECT k.customer_id, t.live, t.marked, t.lately, c.read_until
FROM unnest(%(customers)s::text[]) AS k (customer_id)
LEFT JOIN LATERAL (
  SELECT (state ->> 'read_until')::timestamptz AS read_until FROM {checkpoints}
  WHERE application_id = %(application_id)s AND provider_name = %(provider)s AND customer_id = k.customer_id
    AND sync = %(sync)s AND object = %(object)s
) c ON true
CROSS JOIN LATERAL (
  SELECT count(*) FILTER (WHERE t.is_deleted IS NOT TRUE) AS live, count(*) FILTER (WHERE t.is_deleted) AS marked,
    count(*) FILTER (WHERE t.last_modified_at >= c.read_until - %(before)s::interval) AS lately
  FROM {table} t
  WHERE t.{application_id} = %(application_id)s AND t.{provider_name} = %(provider)s
    AND t.{customer_id} = k.customer_id
) t
"""


def count_stocks(connection: Connection, layout: Layout, scopes: Sequence[Scope], lately: timedelta) -> list[Stock]:
    """See `model.destination.Destination.stocks`."""
    if not scopes:
        return []
    customers = [scope.customer_id for scope in scopes]
    if connection.execute(_IS_THERE, [layout.schema, [layout.physical, CHECKPOINTS]]).fetchone() != (True,):
        return [Stock(live=0)] * len(scopes)
    statement = sql.SQL(_STOCKS).format(
        checkpoints=in_query(layout.schema, CHECKPOINTS),
        table=in_query(layout.schema, layout.physical),
        **{name: in_query(layout.meta(name)) for name in KEY},
    )
    values = scope_parameters(scopes[0]) | {"customers": customers, "before": lately}
    found = {
        customer: Stock(live=live, marked=marked, lately=recent, read_until=read_until)
        for customer, live, marked, recent, read_until in connection.execute(statement, values)
    }
    return [found[customer] for customer in customers]
