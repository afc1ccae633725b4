"""Everything that runs: the stand-in, Postgres, the project with its connections, Dagster."""

import os
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg
import yaml
from psycopg import sql
from sqlalchemy import insert

from benchmarks.scale.accounts import Changes, customer_of, vendor_of
from benchmarks.scale.fields import OBJECTS, VENDORS
from benchmarks.scale.server import Play, Town, access_token, refresh_token
from benchmarks.standin import listening
from sync_pipelines.cli.stage import DAGSTER, STORE, WAREHOUSE, Stage
from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.project import Project
from sync_pipelines.store.credentials import CredentialsSafe
from sync_pipelines.store.database import make_engine, store_url
from sync_pipelines.store.sealing import KeyRing
from sync_pipelines.store.tables import connections

SCHEMA: Final = "crm"
DATABASES: Final = (STORE, DAGSTER, WAREHOUSE)
_AT_ONCE: Final = 5_000


@dataclass(frozen=True)
class Steering:
    """The stand-in, from outside."""

    url: str

    def play(self, play: Play) -> None:
        """What it does from now on."""
        self._asked("play", msgspec.json.encode(play))

    def changes(self) -> list[Changes]:
        """Everything that has changed at the vendors."""
        return msgspec.json.decode(self._asked("changes"), type=list[Changes])

    def _asked(self, what: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"{self.url}/control/{what}", data=body)  # noqa: S310 - our own server
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            found: bytes = answer.read()
        return found


@dataclass
class Place:
    """What is running, and how to ask and steer it."""

    town: Town
    vendors: Steering
    stage: Stage
    roots: dict[str, int] = field(default_factory=dict)
    """Process ids by kind; all below them belong to that kind."""

    @property
    def project(self) -> Project:
        return self.stage.project

    @contextmanager
    def database(self, name: str) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.stage.postgres.url(name, None), autocommit=True) as connection:
            connection.execute("SET timezone TO 'UTC'")
            yield connection


@contextmanager
def standing(folder: Path, town: Town, *, every: timedelta, due_every_seconds: int) -> Iterator[Place]:
    """Everything, for the time of the block; all connections are in the store and nothing has been synced."""
    project = folder / "project"
    write_project(project, every)
    file = folder / "town.json"
    file.write_bytes(msgspec.json.encode(town))
    with ExitStack() as stack:
        url, pid = stack.enter_context(listening("benchmarks.scale.server", file))
        # Read by this process and, through the stage, by those of Dagster.
        stack.enter_context(_set("SYNC_PIPELINES_SYNCS_DIR", str(project)))
        # As docs/operating.md advises for thousands of connections.
        stack.enter_context(_set("SYNC_PIPELINES_CONNECTIONS_AT_ONCE", "12"))
        stage = stack.enter_context(Stage(folder / "stage", due_every_seconds=due_every_seconds))
        stage.start_postgres()
        place = Place(town, Steering(url), stage)
        connect_all(place.project, town, url)
        stage.start_dagster()
        assert stage.postgres.pid is not None
        place.roots = {each.name: each.pid for each in stage.dagster.started}
        place.roots |= {"Postgres": stage.postgres.pid, "sandbox": pid}
        yield place


@contextmanager
def _set(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def write_project(folder: Path, every: timedelta) -> None:
    """Two providers, one destination, a sync of six objects for each vendor, as a data team writes them."""
    _write(
        folder / "destinations" / "warehouse.yaml",
        name="warehouse",
        type="postgres",
        credentials={
            "host": "${WAREHOUSE_HOST}",
            "port": "${WAREHOUSE_PORT}",
            "database": "${WAREHOUSE_DATABASE}",
            "schema": SCHEMA,
            "user": "${WAREHOUSE_USER}",
            "password": "${WAREHOUSE_PASSWORD:-}",
        },
    )
    for vendor in VENDORS:
        oauth = {"client_id": "scale", "client_secret": "scale"}
        _write(folder / "providers" / f"{vendor}.yaml", provider_name=vendor, auth_type="oauth2", oauth=oauth)
        _write(
            folder / "syncs" / f"{vendor}.yaml",
            name=vendor,
            provider=vendor,
            destination="warehouse",
            schedule={"every": f"{every.total_seconds() / 60:g} minutes"},
            objects=list(OBJECTS[vendor]),
        )


def _write(file: Path, **document: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def connect_all(project: Project, town: Town, url: str) -> None:
    """Every account of the stand-in at `url` connected, in a few statements, with tokens as the vendor gives them."""
    safe = CredentialsSafe(KeyRing(project.settings.key_ring))
    engine = make_engine(store_url(project.settings.require_store_url()))
    urls = {"login_url": url, "api_url": url}
    try:
        for start in range(0, town.connections, _AT_ONCE):
            numbers = range(start, min(start + _AT_ONCE, town.connections))
            rows = [
                {
                    "customer_id": customer_of(number),
                    "provider": vendor_of(number),
                    "environment": "production",
                    "status": "connected",
                    **urls,
                }
                for number in numbers
            ]
            with engine.begin() as database:
                columns = (connections.c.customer_id, connections.c.id)
                ids = dict(iter(database.execute(insert(connections).returning(*columns), rows)))
                safe.put_all(database, {ids[customer_of(n)]: _tokens(n, town.token_seconds) for n in numbers})
    finally:
        engine.dispose()


def _tokens(number: int, lifetime: int) -> Tokens:
    until = int(time.time()) + lifetime if vendor_of(number) == "hubspot" else 2**40
    return Tokens(
        access_token=Secret(access_token(number, until)),
        refresh_token=Secret(refresh_token(number)),
        expires_at=datetime.fromtimestamp(until, UTC) if vendor_of(number) == "hubspot" else None,
    )


def sizes(place: Place) -> dict[str, float]:
    """Megabytes of each database."""
    with place.database(STORE) as database:
        query = "SELECT datname, pg_database_size(datname) / 1048576.0 FROM pg_database WHERE datname = ANY(%s)"
        return {name: float(size) for name, size in database.execute(query, [list(DATABASES)])}


def rows_stored(place: Place) -> dict[str, tuple[float, float]]:
    """Of each table of Dagster's storage, megabytes of its rows and how many times of that it takes with its indexes.

    Files grow in steps and first fill the room that is left in them, so that in minutes their size says little.
    """
    found = {}
    names = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    with place.database(DAGSTER) as database:
        for (name,) in database.execute(names).fetchall():
            table = sql.Identifier(name)
            row = database.execute(sql.SQL(_STORED).format(table), [name, name]).fetchone()
            assert row is not None
            found[name] = (float(row[0]), float(row[1]))
    return found


_STORED: Final = """
    SELECT coalesce(sum(pg_column_size(t.*)), 0) / 1048576.0,
        pg_total_relation_size(%s::regclass)::numeric / greatest(pg_relation_size(%s::regclass), 8192)
    FROM {} AS t
"""


def described(place: Place) -> Mapping[str, Any]:
    """Version of the server and the machine, for the results."""
    with place.database(STORE) as database:
        version = database.execute("SHOW server_version").fetchone()
    return {"postgres": version[0] if version else "", "cores": os.cpu_count()}
