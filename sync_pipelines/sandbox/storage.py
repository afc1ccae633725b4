"""Where the invented records lie: one SQLite file, one row a record, its JSON text beside the few indexed stamps."""

import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

NUMBER_BITS = 40
"""A record's key is its table's number and its own number in one integer, so that a table is a range of keys."""
NUMBER_MASK = (1 << NUMBER_BITS) - 1

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS tables (tbl INTEGER PRIMARY KEY, account TEXT, object TEXT, UNIQUE (account, object));
CREATE TABLE IF NOT EXISTS records (
    key INTEGER PRIMARY KEY, tbl INTEGER NOT NULL, created INTEGER NOT NULL, modified INTEGER NOT NULL,
    committed INTEGER NOT NULL, deleted INTEGER NOT NULL, archived INTEGER, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS records_by_modified ON records (tbl, modified, key, deleted);
CREATE INDEX IF NOT EXISTS records_by_state ON records (tbl, deleted);
CREATE TABLE IF NOT EXISTS links (
    from_key INTEGER, to_tbl INTEGER, to_key INTEGER, type_id INTEGER,
    PRIMARY KEY (from_key, to_tbl, to_key, type_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending (id INTEGER PRIMARY KEY, due INTEGER, account TEXT, change BLOB);
CREATE TABLE IF NOT EXISTS tokens (
    token TEXT PRIMARY KEY, account TEXT, kind TEXT, expires INTEGER, valid INTEGER NOT NULL DEFAULT 1);
"""


class Row(NamedTuple):
    """A record as stored. Times are epoch ms; `committed` is when it became visible; `archived` is HubSpot's stamp."""

    key: int
    created: int
    modified: int
    committed: int
    deleted: int
    archived: int | None
    body: bytes


class Link(NamedTuple):
    """One direction of an association."""

    from_key: int
    to_tbl: int
    to_key: int
    type_id: int


_COLUMNS = "key, created, modified, committed, deleted, archived, body"


def number_of(key: int) -> int:
    return key & NUMBER_MASK


class Storage:
    """All accounts' records. Used from one thread at a time; `file` None keeps everything in memory."""

    def __init__(self, file: Path | None) -> None:
        name = ":memory:" if file is None else str(file)
        self._connection = sqlite3.connect(name, check_same_thread=False, isolation_level=None, cached_statements=512)
        for setting in ("page_size = 8192", "journal_mode = WAL", "synchronous = OFF", "cache_size = -65536"):
            self._connection.execute(f"PRAGMA {setting}")
        self._connection.executescript(_TABLES)
        self._numbers: dict[tuple[str, str], int] = {}
        self.version = 0
        """Counts writes of records: what was found before may be kept while it stands still."""

    def close(self) -> None:
        self._connection.close()

    def clear(self) -> None:
        for table in ("records", "links", "pending", "tokens", "tables", "facts"):
            self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 - the names are those above
        self._numbers.clear()

    def copy(self) -> "Storage":
        """All that is stored, once more in memory."""
        made = Storage(None)
        self._connection.backup(made._connection)
        made._numbers = dict(self._numbers)
        return made

    def become(self, other: "Storage") -> None:
        """Hold what the other one holds, instead of what is here."""
        other._connection.backup(self._connection)
        self._numbers = dict(other._numbers)
        self.version += 1

    def forget_passing(self) -> None:
        """Tokens and late changes that are still to come."""
        self._connection.execute("DELETE FROM tokens")
        self._connection.execute("DELETE FROM pending")

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._connection.execute(sql, parameters)

    def begin(self) -> None:
        self._connection.execute("BEGIN")

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def fact(self, name: str) -> str | None:
        row = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def remember(self, name: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def table(self, account: str, object: str) -> int:
        """The number of an account's object, given on first use."""
        number = self._numbers.get((account, object))
        if number is None:
            self._connection.execute("INSERT OR IGNORE INTO tables (account, object) VALUES (?, ?)", (account, object))
            found = self._connection.execute(
                "SELECT tbl FROM tables WHERE account = ? AND object = ?", (account, object)
            ).fetchone()
            number = self._numbers[(account, object)] = int(found[0])
        return number

    def insert(self, tbl: int, rows: Iterable[Row]) -> None:
        """Add many rows. Their keys must be new."""
        self.version += 1
        self._connection.executemany(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            ((row.key, tbl, *row[1:]) for row in rows),
        )

    def put(self, tbl: int, row: Row) -> None:
        """Write one row, over the one with its key if there is one."""
        self.version += 1
        self._connection.execute(
            "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (row.key, tbl, *row[1:])
        )

    def get(self, key: int) -> Row | None:
        found = self._connection.execute(f"SELECT {_COLUMNS} FROM records WHERE key = ?", (key,)).fetchone()  # noqa: S608
        return None if found is None else Row(*found)

    def remove(self, key: int) -> None:
        self.version += 1
        self._connection.execute("DELETE FROM records WHERE key = ?", (key,))
        self._connection.execute("DELETE FROM links WHERE from_key = ?", (key,))
        self._connection.execute("DELETE FROM links WHERE to_key = ?", (key,))

    def many(self, keys: Sequence[int]) -> list[Row]:
        """The rows of `keys` that still exist, in the order of `keys`."""
        marks = ",".join("?" * len(keys))
        found = self._connection.execute(
            f"SELECT {_COLUMNS} FROM records WHERE key IN ({marks})",  # noqa: S608
            keys,
        )
        rows = {row[0]: Row(*row) for row in found}
        return [rows[key] for key in keys if key in rows]

    def select(self, tbl: int, rest: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Rows of a table; `rest` goes on after its WHERE clause: "AND ... ORDER BY ... LIMIT ..."."""
        found = self._connection.execute(
            f"SELECT {_COLUMNS} FROM records WHERE tbl = ? {rest}",  # noqa: S608
            (tbl, *parameters),
        )
        return [Row(*row) for row in found]

    def keys(self, tbl: int, rest: str, parameters: Sequence[Any] = (), index: str = "") -> "array[int]":
        """Keys only, for a result that is handed out page by page. `index`: the one to go by."""
        by = f"INDEXED BY {index}" if index else ""
        found = self._connection.execute(
            f"SELECT key FROM records {by} WHERE tbl = ? {rest}",  # noqa: S608
            (tbl, *parameters),
        )
        keys = array("q")
        while chunk := found.fetchmany(20_000):
            keys.extend(key for (key,) in chunk)
        return keys

    def count(self, tbl: int, rest: str = "", parameters: Sequence[Any] = ()) -> int:
        found = self._connection.execute(
            f"SELECT COUNT(*) FROM records WHERE tbl = ? {rest}",  # noqa: S608
            (tbl, *parameters),
        ).fetchone()
        return int(found[0])

    def bounds(self, tbl: int) -> tuple[int, int]:
        """Every key of the table lies between these two."""
        return tbl << NUMBER_BITS, (tbl + 1) << NUMBER_BITS

    def last_number(self, tbl: int) -> int | None:
        low, high = self.bounds(tbl)
        found = self._connection.execute(
            "SELECT MAX(key) FROM records WHERE key > ? AND key < ?", (low, high)
        ).fetchone()[0]
        return None if found is None else number_of(found)

    def walk(self, tbl: int, chunk: int = 1000) -> Iterator[Row]:
        """Every row in the order of ids, fetched in chunks: rows written meanwhile may or may not be seen."""
        last, high = self.bounds(tbl)
        while True:
            rows = self.select(tbl, "AND key > ? AND key < ? ORDER BY key LIMIT ?", (last, high, chunk))
            yield from rows
            if len(rows) < chunk:
                return
            last = rows[-1].key

    def link(self, links: Iterable[Link]) -> None:
        self.version += 1
        self._connection.executemany("INSERT OR IGNORE INTO links VALUES (?, ?, ?, ?)", links)

    def unlink(self, from_key: int, to_key: int) -> None:
        self.version += 1
        self._connection.execute("DELETE FROM links WHERE from_key = ? AND to_key = ?", (from_key, to_key))

    def links(self, from_keys: Sequence[int], to_tbl: int) -> list[Link]:
        """Associations of these records to records of one table, by (from, to, type)."""
        marks = ",".join("?" * len(from_keys))
        found = self._connection.execute(
            f"SELECT * FROM links WHERE from_key IN ({marks}) AND to_tbl = ? "  # noqa: S608
            "ORDER BY from_key, to_key, type_id",
            (*from_keys, to_tbl),
        )
        return [Link(*row) for row in found]
