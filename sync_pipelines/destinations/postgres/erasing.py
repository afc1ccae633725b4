"""Everything of one customer in a schema: found by the catalogue, so that tables of former syncs are found too."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from psycopg import sql

from sync_pipelines.destinations.postgres.layout import CHECKPOINTS, KEY, SEEN
from sync_pipelines.destinations.postgres.names import in_query
from sync_pipelines.destinations.postgres.pool import Connection

_KEYS: Final = """
SELECT c.relname, key.names
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary
CROSS JOIN LATERAL (
  SELECT jsonb_agg(a.attname ORDER BY k.place) AS names
  FROM unnest(i.indkey) WITH ORDINALITY k (attnum, place)
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
) key
WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY c.relname
"""

_WHOSE: Final = """
WHERE {application_id} = %(application_id)s AND {customer_id} = %(customer_id)s
  AND (%(provider)s::text IS NULL OR {provider_name} = %(provider)s)
"""


def rows_of_customer(
    connection: Connection, schema: str, application_id: str, customer_id: str, provider: str | None, *, remove: bool
) -> Mapping[str, int]:
    """By table, how many rows the customer has there, or had before they were removed; without those that have none.

    Positions go first: whatever ends this half-way, the next read of what is left begins anew.
    """
    values = {"application_id": application_id, "customer_id": customer_id, "provider": provider}
    found: dict[str, int] = {}
    for table, prefix in _tables(connection, schema):
        place = in_query(schema, table)
        whose = sql.SQL(_WHOSE).format(**{name: in_query(f"{prefix}{name}") for name in KEY})
        if remove:
            count = connection.execute(sql.SQL("DELETE FROM {} ").format(place) + whose, values).rowcount
        else:
            row: Sequence[Any] | None = connection.execute(
                sql.SQL("SELECT count(*) FROM {} ").format(place) + whose, values
            ).fetchone()
            count = int(row[0]) if row else 0
        if count:
            found[table] = count
    return found


def _tables(connection: Connection, schema: str) -> list[tuple[str, str]]:
    """(table, prefix of its metadata columns) of every table of ours: its key begins with whose its rows are."""
    ours = []
    for table, key in connection.execute(_KEYS, [schema]):
        prefix = str(key[0]).removesuffix(KEY[0])
        if list(key[: len(KEY)]) == [f"{prefix}{name}" for name in KEY]:
            ours.append((table, prefix))
    return sorted(ours, key=lambda each: each[0] not in (CHECKPOINTS, SEEN))
