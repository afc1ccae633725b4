"""The latest view of files equals the table in Postgres, value by value, whatever has happened on the way."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest
from psycopg.rows import dict_row

from sync_pipelines.destinations import open_destination
from sync_pipelines.destinations.s3 import compaction
from sync_pipelines.model.checkpoint import Checkpoint, Reading
from sync_pipelines.model.common_model import Column
from sync_pipelines_tests.destinations.cases import CONTACTS, DONE, START, Crash, ignore, load, row, scope
from sync_pipelines_tests.destinations.reading_files import filesystem_of, latest

CUSTOMERS = ("acme", "bolt & co/ü", "..")
STEPS = ("fenced", "keys_sent", "staged", "upserted", "checkpointed", "committed")
CRASHES = (*(f"load.{step}" for step in STEPS), "delete.marked", "delete.checkpointed", "delete.committed")
WIDER = replace(CONTACTS, columns=(*CONTACTS.columns, Column("tier", "text"), Column("seats", "bigint")))


NUMBERED = replace(CONTACTS, columns=(*CONTACTS.columns, Column("tier", "numeric"), Column("seats", "bigint")))
TIERS = {WIDER: ("gold", None), NUMBERED: (Decimal("1.50"), Decimal(7), None)}


def script_of(seed, customer, runs, *, retyped=False):
    """What each of the runs of a customer does: (table, chunks, merges, removed, deletes), the same for everyone.

    `retyped`: a column has one type or the other from run to run.
    """
    chance = random.Random(f"{seed} {customer}")
    made = []
    for number in range(runs):
        table = WIDER if number > runs // 2 and chance.random() < 0.7 else CONTACTS
        if retyped and number > 2:
            table = chance.choice((WIDER, WIDER, NUMBERED, NUMBERED, CONTACTS))
        ids = chance.sample([str(n) for n in range(25)], chance.randint(0, 20))
        full = chance.random() < 0.4
        if full and len(ids) < 6:
            ids = [str(n) for n in range(chance.randint(8, 25))]
        chunks = [
            [some_row(chance, id, number, table) for id in ids[start : start + 7]] for start in range(0, len(ids), 7)
        ]
        others = [str(n) for n in range(25) if str(n) not in ids]
        merged = [(chance.choice(others), "1")] if others and not full and chance.random() < 0.5 else []
        removed = chance.sample(others, 2) if len(others) > 2 and not full and chance.random() < 0.3 else []
        deletes = chance.choice(["soft", "hard"]) if full else None
        made.append((table, chunks or [[]], merged, removed, deletes))
    return made


def some_row(chance, id, number, table):
    made = row(
        id,
        minute=chance.choice([number, number, number - 3, None]),
        deleted=chance.random() < 0.25,
        name=chance.choice(["Ann", "Bea", "Zoë 🙂", 'quo"te\n', None]),
        amount=chance.choice([None, Decimal("1.50"), Decimal("-12345678901234567890.000000000000000001"), Decimal(7)]),
        raw=json.dumps({"n": chance.randint(0, 2), "t": "é\n"}, indent=chance.choice([None, 1])).encode(),
        errors=chance.choice([None, None, b'{"amount": {"reason": "x"}}']),
    )
    more = (chance.choice(TIERS[table]), chance.choice([2**62, None])) if table in TIERS else ()
    return (made[0] + hash(more) % 1000, *made[1:], *more)


def run_once(destination, customer, run_id, done, observe):
    table, chunks, merged, removed, deletes = done
    with destination.open(scope(customer), table, run_id, observe) as landing:
        full = deletes is not None
        now = Checkpoint(reading=Reading(id=run_id + observe.__name__, full=True, started_at=START)) if full else DONE
        for number, chunk in enumerate(chunks):
            last = number == len(chunks) - 1
            load(landing, chunk, now, table=table, merged=merged if last else (), removed=removed if last else ())
        if full:
            landing.delete_unseen(DONE, hard=deletes == "hard", brake=1.0)


def live(destination, customer, script, chance):
    """All runs of a customer, some of which die at some step and are begun anew."""
    for number, done in enumerate(script):
        while chance.random() < 0.3:
            step, passed = chance.choice(CRASHES), chance.randint(1, 3)

            def dying(name, step=step, left=[passed]):  # noqa: B006
                left[0] -= name == step
                if left[0] == 0:
                    raise Crash(name)

            try:
                run_once(destination, customer, f"run-{number}", done, dying)
            except Crash:
                continue
            break
        else:
            run_once(destination, customer, f"run-{number}", done, ignore)


def everybody(make, seed, runs, customers):
    destinations = {customer: make(customer) for customer in customers}
    with ThreadPoolExecutor(len(customers)) as pool:
        work = [
            pool.submit(
                live,
                destinations[customer],
                customer,
                script_of(seed, customer, runs),
                random.Random(f"{seed} {customer} crashes"),
            )
            for customer in customers
        ]
        for each in work:
            each.result()
    for each in destinations.values():
        each.close()


def comparable(rows):
    """Without the time of writing, and with documents read."""
    found = {}
    for entry in rows:
        entry = {name: value for name, value in entry.items() if name != "_sync_emitted_at"}
        for name in ("_sync_errors", "raw_data"):
            if isinstance(entry.get(name), str):
                entry[name] = json.loads(entry[name])
        found[entry["_sync_customer_id"], entry["id"]] = entry
    return found


@pytest.mark.parametrize(
    ("kind", "runs", "customers"),
    [("folder", 30, CUSTOMERS), ("lines", 30, CUSTOMERS), ("bucket", 30, CUSTOMERS[:2])],
    ids=["folder", "lines", "bucket"],
)
def test_after_random_runs_the_latest_view_equals_the_table(
    request, database, postgres_config, monkeypatch, kind, runs, customers
):
    # So that files are merged and removed all the time, and some are too large for that.
    monkeypatch.setattr(compaction, "MANY", 4)
    monkeypatch.setattr(compaction, "SMALL", 1_000 if kind == "lines" else 8_000)
    config = request.getfixturevalue(f"{kind}_config")()
    everybody(lambda customer: open_destination(config, customer), kind, runs, customers)
    everybody(lambda customer: open_destination(postgres_config(), customer), kind, runs, customers)
    with database.connect(row_factory=dict_row) as connection:
        expected = comparable(connection.execute("SELECT * FROM crm.crm_contact").fetchall())
    if kind == "bucket":
        bucket = request.getfixturevalue("bucket")
        found = latest(f"s3://{bucket.name}/crm", filesystem=filesystem_of(bucket))
    elif kind == "lines":
        found = latest(config.folder, reader="DuckDB, lines of JSON")
        expected = {key: as_printed(entry) for key, entry in expected.items()}
    else:
        found = latest(config.folder)
    assert len(expected) > 12 * len(customers)
    assert comparable(found) == expected


def test_after_random_changes_of_a_columns_type_the_latest_view_equals_the_table(
    database, postgres_config, folder_config, monkeypatch
):
    monkeypatch.setattr(compaction, "MANY", 4)
    monkeypatch.setattr(compaction, "SMALL", 8_000)
    script = script_of("types", "acme", 14, retyped=True)
    assert {table.columns for table, *_ in script} == {table.columns for table in (CONTACTS, WIDER, NUMBERED)}
    for config in (folder_config(), postgres_config()):
        destination = open_destination(config, "acme")
        live(destination, "acme", script, random.Random("crashes of types"))
        destination.close()
    with database.connect(row_factory=dict_row) as connection:
        expected = comparable(connection.execute("SELECT * FROM crm.crm_contact").fetchall())
    found = comparable(latest(folder_config().folder))
    assert found == expected
    assert any(entry.get("tier__was_text") or entry.get("tier__was_numeric") for entry in found.values())


def as_printed(entry):
    """The columns that the line for lines of JSON names."""
    return {name: value for name, value in entry.items() if name not in ("tier", "seats")}
