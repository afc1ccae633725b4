"""Postgres as a Destination: check, open, close."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from sync_pipelines.destinations.postgres.checkpoints import Checkpoints
from sync_pipelines.destinations.postgres.erasing import rows_of_customer
from sync_pipelines.destinations.postgres.failed import failed_counts, failed_values
from sync_pipelines.destinations.postgres.failures import told_as_ours
from sync_pipelines.destinations.postgres.finding import find_row
from sync_pipelines.destinations.postgres.landing import Opening, PostgresLanding
from sync_pipelines.destinations.postgres.layout import Layout
from sync_pipelines.destinations.postgres.place import Place
from sync_pipelines.destinations.postgres.pool import Pool, Pools
from sync_pipelines.destinations.postgres.ready import ready_tables
from sync_pipelines.destinations.postgres.row_security import check_row_security
from sync_pipelines.destinations.postgres.stocks import count_stocks
from sync_pipelines.model.completeness import Stock
from sync_pipelines.model.destination import Found, Landing, Observer, Scope, Table
from sync_pipelines.model.errors import DestinationError, MissingDatabase
from sync_pipelines.model.failed_value import FailedCount, FailedPlace, FailedValue

OLDEST_VERSION: Final = 13
NO_DATABASE: Final = "3D000"

_RIGHTS = """
SELECT current_setting('server_version_num')::int / 10000,
  has_database_privilege(current_database(), 'TEMPORARY'),
  CASE WHEN n.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')
       ELSE has_schema_privilege(n.oid, 'USAGE') AND has_schema_privilege(n.oid, 'CREATE') END,
  n.oid IS NOT NULL
FROM (VALUES (1)) AS one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = %(schema)s
"""

pools = Pools()


class PostgresDestination:
    """One customer's place in a database. Safe for threads; connections are made when they are needed."""

    def __init__(self, place: Place) -> None:
        self.name = place.name
        self.where: Hashable = (place.server, place.database, place.schema)
        self._place = place
        self._pool: Pool | None = pools.take(place.server)

    def check(self) -> None:
        place = self._place
        with told_as_ours(place), self._open_pool.lend(place) as lent:
            row = lent.connection.execute(_RIGHTS, {"schema": place.schema}).fetchone()
        assert row is not None
        version, temporary, create, exists = row
        if version < OLDEST_VERSION:
            raise DestinationError(f"{place} runs Postgres {version}; at least {OLDEST_VERSION} is needed. Upgrade it.")
        if not temporary:
            raise DestinationError(
                f"User {place.server.user} may not make temporary tables in {place}: "
                f'GRANT TEMPORARY ON DATABASE "{place.database}" TO "{place.server.user}".'
            )
        if not create:
            wanted = f'USAGE, CREATE ON SCHEMA "{place.schema}"' if exists else f'CREATE ON DATABASE "{place.database}"'
            raise DestinationError(
                f"User {place.server.user} may not make tables in the schema {place.schema} of {place}: "
                f'GRANT {wanted} TO "{place.server.user}".'
            )
        with told_as_ours(place), self._open_pool.lend(place) as lent:
            check_row_security(lent.connection, place)

    @contextmanager
    def open(self, scope: Scope, table: Table, run_id: str, observe: Observer) -> Iterator[Landing]:
        place, pool = self._place, self._open_pool
        checkpoints = Checkpoints(place.schema, scope, run_id)
        with ready_tables(pool).of(run_id, place, table) as make_ready:
            with told_as_ours(place), pool.lend(place) as lent:
                layout = make_ready(lent.connection)
                observe("destination.table_ready")
                stored = checkpoints.read(lent.connection)
            opening = Opening(place=place, pool=pool, layout=layout, scope=scope, run_id=run_id, observe=observe)
            landing = PostgresLanding(opening, checkpoints, stored)
            observe("destination.opened")
            yield landing
            landing.refresh_statistics()

    def stocks(self, scopes: Sequence[Scope], table: Table, lately: timedelta) -> list[Stock]:
        place = self._place
        with told_as_ours(place), self._open_pool.lend(place) as lent:
            return count_stocks(lent.connection, Layout(place.schema, table), scopes, lately)

    def failed(
        self, scopes: Sequence[Scope], table: Table, *, after: FailedPlace | None = None, limit: int = 100
    ) -> list[FailedValue]:
        place = self._place
        with told_as_ours(place), self._open_pool.lend(place) as lent:
            return failed_values(lent.connection, Layout(place.schema, table), scopes, after, limit)

    def failed_counts(self, scopes: Sequence[Scope], table: Table) -> list[FailedCount]:
        place = self._place
        with told_as_ours(place), self._open_pool.lend(place) as lent:
            return failed_counts(lent.connection, Layout(place.schema, table), scopes)

    def of_customer(
        self, application_id: str, customer_id: str, provider: str | None = None, *, remove: bool = False
    ) -> Mapping[str, int]:
        place = self._place
        try:
            with told_as_ours(place), self._open_pool.lend(place) as lent:
                return rows_of_customer(
                    lent.connection, place.schema, application_id, customer_id, provider, remove=remove
                )
        except DestinationError as problem:
            if problem.detail.startswith(f"SQLSTATE {NO_DATABASE}"):
                raise MissingDatabase(str(problem), detail=problem.detail) from problem
            raise

    def find(self, scope: Scope, table: Table, id: str) -> Found:
        place = self._place
        with told_as_ours(place), self._open_pool.lend(place) as lent:
            return find_row(lent.connection, Layout(place.schema, table), scope, id)

    def close(self) -> None:
        if self._pool is not None:
            self._pool = None
            pools.leave(self._place.server)

    @property
    def _open_pool(self) -> Pool:
        if self._pool is None:
            raise RuntimeError(f"the destination {self.name} is closed")
        return self._pool
