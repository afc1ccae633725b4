"""Which tables were found in their shape: a run looks at each one once, and not for every customer."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias
from weakref import WeakKeyDictionary

from sync_pipelines.destinations.postgres.layout import Layout
from sync_pipelines.destinations.postgres.place import Place
from sync_pipelines.destinations.postgres.pool import Connection, Pool
from sync_pipelines.destinations.postgres.tables import make_ready
from sync_pipelines.model.destination import Table

TRUSTED_SECONDS: Final = 60.0
"""After so long a table is looked at again. What people change sooner is met as an error, and the next try looks."""
MOST_TABLES: Final = 10_000

_Key: TypeAlias = tuple[str, Place, Table]


class ReadyTables:
    """By run, place and table: another run looks for itself. Safe for threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[_Key, tuple[Layout, float]] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def of(self, run_id: str, place: Place, table: Table) -> Iterator[Callable[[Connection], Layout]]:
        """A function that gives the table's layout, with the types that its columns really have, and makes it ready.

        An error out of the block may come of a table that somebody changed, so that it is looked at again.
        """
        key = run_id, place, table
        try:
            yield lambda connection: self._find(key) or self._look(key, connection)
        except BaseException:
            with self._lock:
                self._known.pop(key, None)
            raise

    def _find(self, key: _Key) -> Layout | None:
        with self._lock:
            layout, seen_at = self._known.get(key, (None, 0.0))
        return layout if time.monotonic() - seen_at < TRUSTED_SECONDS else None

    def _look(self, key: _Key, connection: Connection) -> Layout:
        _, place, table = key
        layout = make_ready(connection, Layout(place.schema, table), place.row_level_security)
        with self._lock:
            self._known[key] = layout, time.monotonic()
            self._known.move_to_end(key)
            while len(self._known) > MOST_TABLES:
                self._known.popitem(last=False)
        return layout


def ready_tables(pool: Pool) -> ReadyTables:
    """What was seen through this pool, for as long as the pool lives."""
    with _lock:
        return _by_pool.setdefault(pool, ReadyTables())


_by_pool: WeakKeyDictionary[Pool, ReadyTables] = WeakKeyDictionary()
_lock = threading.Lock()
