"""The course of things: a first load that is not counted, the measured time, and what has to be caught up with."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from socket import socket
from typing import Any, Final

import psycopg

from benchmarks.measure import Failed
from benchmarks.scale import faults
from benchmarks.scale.accounts import Accounts, customer_of, number_of, vendor_of
from benchmarks.scale.attempts import Attempt, Due, attempts_since
from benchmarks.scale.fields import OBJECTS, VENDORS
from benchmarks.scale.place import DATABASES, SCHEMA, Place, rows_stored, sizes
from benchmarks.scale.server import Play
from benchmarks.scale.truth import wrong_rows
from benchmarks.scale.usage import Watch
from sync_pipelines.cli.stage import STORE, WAREHOUSE

OBJECTS_EACH: Final = len(OBJECTS["hubspot"])
CHANGED_SHARE: Final = 0.01
"""Changes for each attempt of the measured time, about."""
_POLL_SECONDS: Final = 2.0
_CATCH_UP_SECONDS: Final = 900.0

_NOT_LOADED: Final = "SELECT customer_id, error_message FROM runs WHERE status != 'success' LIMIT 1"
_BEFORE: Final = """
    SELECT count(*) FROM due JOIN connections ON connections.id = due.connection_id
    WHERE due.scheduled_at < %s AND connections.status <> 'expired'
"""
_BEHIND: Final = """
    SELECT count(*) FROM unnest(%s::text[]) AS customer
    WHERE (
        SELECT count(DISTINCT object) FROM runs
        WHERE customer_id = customer AND finished_at >= %s AND started_at >= %s AND status = 'success'
    ) < %s
"""
_PLAN: Final = """
    SELECT customer_id, scheduled_at + CASE WHEN scheduled_at < %(began)s THEN %(every)s ELSE interval '0' END FROM due
"""
"""What is under way at the beginning comes once more in the measured time, as everybody does."""
_WAITING: Final = "SELECT count(*) FROM due WHERE scheduled_at < now() - interval '90 seconds'"
_LOADED: Final = "SELECT count(*) FROM (SELECT DISTINCT customer_id, object FROM runs) AS loaded"


@dataclass
class Measured:
    """Everything that was seen, before it is judged. `settled`: when what was due until `ended` had begun too."""

    watch: Watch
    attempts: list[Attempt]
    due: Due
    ended: datetime
    settled: datetime
    grown_mb: dict[str, float]
    tables_mb: dict[str, float]
    first_load_seconds: float
    wrong_rows: int = 0
    wrong_examples: tuple[str, ...] = ()


def play(place: Place, every: timedelta, time_measured: timedelta, say: Callable[[str], None]) -> Measured:
    """From the first load to the comparison. Failed when something hangs or ends that should not."""
    loaded = _first_load(place, say)
    say(f"First load of {place.town.connections * OBJECTS_EACH:,} objects in {loaded:.0f} s, not counted.")
    _tidy(place)
    measured = _measure(place, every, time_measured, loaded, say)
    _catch_up(place, say)
    accounts = Accounts.knowing(place.vendors.changes())
    with place.database(WAREHOUSE) as database:
        measured.wrong_rows, examples = wrong_rows(database, SCHEMA, accounts, range(place.town.connections))
    measured.wrong_examples = tuple(examples)
    return measured


def _first_load(place: Place, say: Callable[[str], None]) -> float:
    """Everything is due at once, and the vendors answer at once. Seconds until all is there."""
    wanted = place.town.connections * OBJECTS_EACH
    began, told = time.monotonic(), time.monotonic()
    deadline = began + 300 + wanted * 0.1
    with place.database(STORE) as database:
        while (done := _one(database, _LOADED)) < wanted or _one(database, _WAITING):
            place.stage.dagster.check()
            if bad := database.execute(_NOT_LOADED).fetchone():
                raise Failed(f"The first load of {bad[0]} failed: {bad[1]}")
            if time.monotonic() > deadline:
                raise Failed(f"Only {done} of {wanted} objects were loaded in {deadline - began:.0f} s.")
            if time.monotonic() - told > 60:
                told = time.monotonic()
                say(f"  {done:,} of {wanted:,} objects loaded ...")
            time.sleep(_POLL_SECONDS)
    return time.monotonic() - began


def _one(database: psycopg.Connection[Any], query: str) -> int:
    found = database.execute(query).fetchone()
    return int(found[0]) if found else 0


def _tidy(place: Place) -> None:
    """As a database is that has been there for a while: what a bulk load leaves behind is not of the measured time."""
    for name in DATABASES:
        with place.database(name) as database:
            database.execute("VACUUM ANALYZE")
    with place.database(STORE) as database:
        database.execute("CHECKPOINT")


def _measure(
    place: Place, every: timedelta, time_measured: timedelta, loaded: float, say: Callable[[str], None]
) -> Measured:
    seconds = time_measured.total_seconds()
    before, tables = sizes(place), rows_stored(place)
    attempts_a_second = place.town.connections * OBJECTS_EACH / every.total_seconds()
    place.vendors.play(Play(far=True, failing=True, changes_per_second=attempts_a_second * CHANGED_SHARE))
    began = datetime.now(UTC)
    with place.database(STORE) as database:
        cut_off(database, faults.failing(place.town.connections, place.town.failing_share))
        due = dict(database.execute(_PLAN, {"began": began, "every": every}).fetchall())
    say(f"Measuring for {seconds / 60:g} minutes, {attempts_a_second * 60:.0f} attempts a minute ...")
    with Watch(place.roots, place.stage.dagster.check) as watch:
        watch.wait(time.monotonic() + seconds)
    after, tables_after = sizes(place), rows_stored(place)
    ended = datetime.now(UTC)
    place.vendors.play(Play(far=True, failing=True))
    with place.database(STORE) as database:
        _settle(place, database, _BEFORE, ended)
        attempts = attempts_since(database, began)
    return Measured(
        watch=watch,
        attempts=attempts,
        due=due,
        ended=ended,
        settled=datetime.now(UTC),
        grown_mb={name: after[name] - before[name] for name in after},
        tables_mb={
            name: (stored - tables.get(name, (0.0, 1.0))[0]) * times for name, (stored, times) in tables_after.items()
        },
        first_load_seconds=loaded,
    )


def cut_off(database: psycopg.Connection[Any], injected: Mapping[int, str]) -> None:
    """Accounts that cannot be reached: nobody listens where they are said to be."""
    customers = [customer_of(number) for number, kind in injected.items() if kind == faults.UNREACHABLE]
    with socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    database.execute("UPDATE connections SET api_url = %s WHERE customer_id = ANY(%s)", [url, customers])


def _settle(place: Place, database: psycopg.Connection[Any], left: str, *values: Any) -> None:
    """Wait until what was due in the measured time has begun and ended."""
    deadline = time.monotonic() + _CATCH_UP_SECONDS
    while database.execute(left, values).fetchone() != (0,):  # type: ignore[arg-type]
        place.stage.dagster.check()
        if time.monotonic() > deadline:
            return  # what did not begin is late, and shows
        time.sleep(_POLL_SECONDS)


def _catch_up(place: Place, say: Callable[[str], None]) -> None:
    """Records that changed after their customer's turn are fetched too, so that everything can be compared."""
    frozen, numbers = datetime.now(UTC), {one.number for one in place.vendors.changes()}
    say(f"{len(numbers)} accounts have changed; they are synced once more before everything is compared.")
    place.vendors.play(Play(failing=True))
    customers = [customer_of(number) for number in numbers]
    for vendor in VENDORS:
        theirs = [customer for customer in customers if vendor_of(number_of(customer)) == vendor]
        if theirs:
            place.project.store.due.request(vendor, theirs, actor="scale")
    with place.database(STORE) as database:
        _settle(place, database, _BEHIND, customers, frozen, frozen, OBJECTS_EACH)
