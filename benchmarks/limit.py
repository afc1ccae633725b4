"""The limit: Postgres' own COPY of the rows that ours wrote, from a file on the server, into an identical table."""

import time
from typing import Final, LiteralString

from psycopg import sql

from benchmarks.measure import Cost, tree_cpu
from benchmarks.our_project import TABLE, schema_of
from benchmarks.postgres import Postgres

SCHEMA: Final = "copy_limit"


class Limit:
    """For one vendor's table of ours. Export once, then time as often as wanted."""

    def __init__(self, postgres: Postgres, vendor: str) -> None:
        self._postgres = postgres
        self._ours = sql.Identifier(schema_of(vendor), TABLE)
        self._copy = sql.Identifier(SCHEMA, f"{TABLE}_{vendor}")
        self._file = postgres.files / f"benchmark_{vendor}.copy"

    def export(self, which: LiteralString) -> None:
        """Write the rows to a file, in the order in which ours wrote them."""
        rows = sql.SQL("SELECT * FROM {} WHERE {}").format(self._ours, sql.SQL(which))
        with self._postgres.connect() as connection:
            connection.execute(sql.SQL("COPY ({}) TO {} (FORMAT binary)").format(rows, sql.Literal(str(self._file))))

    def measure(self) -> Cost:
        """One COPY into an empty table with the same columns, key, compression and storage parameters."""
        with self._postgres.connect() as connection:
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SCHEMA)))
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(self._copy))
            connection.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(self._copy, self._ours))
            for option in self._storage_parameters():
                # LIKE leaves these away.
                connection.execute(sql.SQL("ALTER TABLE {} SET ({})").format(self._copy, sql.SQL(option)))
            connection.execute("CHECKPOINT")
            before, began = tree_cpu(self._postgres.pid), time.perf_counter()
            connection.execute(
                sql.SQL("COPY {} FROM {} (FORMAT binary)").format(self._copy, sql.Literal(str(self._file)))
            )
            wall = time.perf_counter() - began
            cost = Cost(wall=wall, client_cpu=0.0, postgres_cpu=tree_cpu(self._postgres.pid) - before)
            connection.execute(sql.SQL("DROP TABLE {}").format(self._copy))
        return cost

    def close(self) -> None:
        self._file.unlink(missing_ok=True)

    def _storage_parameters(self) -> list[str]:
        with self._postgres.connect() as connection:
            found = connection.execute(
                "SELECT reloptions FROM pg_class WHERE oid = to_regclass(%s)", [self._ours.as_string(connection)]
            ).fetchone()
        return list(found[0] or []) if found else []
