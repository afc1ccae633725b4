"""What all lives of one process share: a sandbox, a store and a warehouse, which are emptied before each."""

import itertools
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from sync_pipelines.embedded_postgres.server import PORT, USER
from sync_pipelines.model.secret import Secret
from sync_pipelines.sandbox.control import Control
from sync_pipelines.sandbox.serving import serve
from sync_pipelines.sandbox.world import Recipe
from sync_pipelines.settings import DEVELOPMENT_KEY
from sync_pipelines.store import Store
from sync_pipelines.store.tables import metadata
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, HARBOR, KESTREL, LUMEN, QUILL
from sync_pipelines_tests.simulation.times import BEGINNING

SCHEMA = "crm"
WATCHER = "simulation"
_numbers = itertools.count()


def _sizes(count, names):
    people, firms, deals = names
    return {people: count, firms: max(6, count * 2 // 3), deals: max(8, count // 2)}


_SALESFORCE = ("Contact", "Account", "Opportunity")
_HUBSPOT = ("contacts", "companies", "deals")
SIZES = {
    ACME: _sizes(13, _SALESFORCE) | {"User": 2},
    BRIGHTWATER: _sizes(44, _SALESFORCE) | {"User": 2},
    KESTREL: _sizes(26, _SALESFORCE) | {"User": 2},
    LUMEN: _sizes(12, _HUBSPOT) | {"owners": 2},
    HARBOR: _sizes(46, _HUBSPOT) | {"owners": 2},
    QUILL: _sizes(27, _HUBSPOT) | {"owners": 2},
}


@dataclass
class Ground:
    """`url` names the server for libpq, with {} where a database stands."""

    control: Control
    url: str
    host: str
    store_name: str
    warehouse_name: str

    @cached_property
    def accounts(self):
        return {account.id: account for account in self.control.accounts()}

    @cached_property
    def _watch(self):
        """Sees the warehouse and is not cut off with the others."""
        return self._connect(self.warehouse_name)

    @cached_property
    def _store(self):
        return self._connect(self.store_name)

    def _connect(self, name):
        return psycopg.connect(self.url.format(name), autocommit=True, prepare_threshold=None, application_name=WATCHER)

    @property
    def store_url(self):
        return self.url.format(self.store_name).replace("postgresql://", "postgresql+psycopg://")

    @property
    def warehouse(self):
        return {"host": self.host, "port": PORT, "database": self.warehouse_name, "user": USER}

    def clear(self):
        """Nobody is connected, nothing is stored, and the sandbox is as it was made, its clock standing."""
        self.control.reset()
        self.control.clock(frozen=True, set=BEGINNING)
        self._watch.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(SCHEMA)))
        for table in reversed(metadata.sorted_tables):
            self._store.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table.name)))

    def cut_lines(self, *names):
        """The server ends every session of these databases but ours, as a server that restarts does."""
        self._watch.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE datname = ANY(%s) AND application_name <> %s AND backend_type = 'client backend'",
            [list(names), WATCHER],
        )

    def has(self, table):
        found = self._watch.execute("SELECT to_regclass(format('%%I.%%I', %s::text, %s::text))", [SCHEMA, table])
        return found.fetchone() != (None,)

    def ask(self, statement, *values, **names):
        """Rows of a statement in which {name} is a table of the schema."""
        tables = {name: sql.Identifier(SCHEMA, table) for name, table in names.items()}
        with self._watch.cursor(row_factory=dict_row) as cursor:
            cursor.execute(sql.SQL(statement).format(**tables), values)
            return cursor.fetchall() if cursor.description else []

    def close(self):
        for connection in (self._watch, self._store):
            connection.close()


def url_of(server):
    """An EmbeddedPostgres as a Ground names it."""
    return server.url("{}", driver=None).replace("%7B%7D", "{}")


@contextmanager
def ground_on(url, host):
    """A Ground with new databases on a running server."""
    number = f"{os.getpid()}_{next(_numbers)}"
    names = [f"simulated_store_{number}", f"simulated_warehouse_{number}"]
    with psycopg.connect(url.format("postgres"), autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    epoch = round(BEGINNING.timestamp() * 1000)
    with serve(Recipe(seed=11, sizes=SIZES, epoch=epoch)) as control:
        ground = Ground(control, url, host, *names)
        store = Store(ground.store_url, (Secret(DEVELOPMENT_KEY),))
        store.migrate()
        store.close()
        try:
            yield ground
        finally:
            ground.close()
    with psycopg.connect(url.format("postgres"), autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
