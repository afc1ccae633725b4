"""Small tables, rows and checkpoints for the tests of destinations."""

import hashlib
from datetime import UTC, datetime, timedelta
from itertools import count

from sync_pipelines.model.checkpoint import Checkpoint, Reading
from sync_pipelines.model.common_model import Column
from sync_pipelines.model.destination import ReadyRows, Scope, Table

DESTINATION_KINDS = ("postgres", "folder", "bucket", "lines")
EVERY_DESTINATION_KIND = (*DESTINATION_KINDS, "partitioned")
KINDS_THAT_ORDER = ("postgres", "partitioned", "folder")
"""Each orders versions in its own way; buckets and lines do it as folders do."""

START = datetime(2026, 1, 1, tzinfo=UTC)
CONTACTS = Table(
    name="crm_contact",
    columns=(
        Column("id", "text"),
        Column("is_deleted", "boolean"),
        Column("last_modified_at", "timestamptz"),
        Column("first_name", "text"),
        Column("amount", "numeric"),
        Column("raw_data", "jsonb", "as the vendor gave it"),
    ),
)

COLUMN_NAMES = [column.name for column in CONTACTS.columns]

# As docs/operating.md says it.
PARTITIONED = """
ALTER TABLE crm.crm_contact RENAME TO crm_contact_whole;
CREATE TABLE crm.crm_contact (LIKE crm.crm_contact_whole INCLUDING ALL) PARTITION BY HASH (_sync_customer_id);
CREATE TABLE crm.crm_contact_0 PARTITION OF crm.crm_contact FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE crm.crm_contact_1 PARTITION OF crm.crm_contact FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO crm.crm_contact SELECT * FROM crm.crm_contact_whole;
DROP TABLE crm.crm_contact_whole;
"""


def ignore(step):
    pass


def scope(customer_id="acme", **other):
    values = {"application_id": "app", "provider": "hubspot", "sync": "contacts", "object": "contact"} | other
    return Scope(customer_id=customer_id, **values)


def at(minutes):
    return START + timedelta(minutes=minutes)


def row(id, *, minute=0, deleted=False, name="Ann", amount=None, raw=b"{}", errors=None, merged_into=None):
    values = (id, deleted, None if minute is None else at(minute), name, amount, raw)
    digest = hashlib.blake2b(repr((values, errors, merged_into)).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, signed=True), errors, merged_into, *values)


def rows(*ids, **values):
    return [row(str(id), **values) for id in ids]


def load(landing, found, checkpoint, *, table=CONTACTS, **more):
    return landing.load(ReadyRows(found, table.position("id")), checkpoint, **more)


def incremental(known=None, **values):
    """A checkpoint after an incremental read."""
    return Checkpoint(**{"read_until": START, "version": known.version if known else 0} | values)


def reading(name="first", **values):
    """A checkpoint while a full read is under way."""
    return Checkpoint(reading=Reading(id=name, full=True, started_at=START, **values))


DONE = Checkpoint(read_until=START, full_at=START)


def stored(landing):
    """Everything that the landing's scope holds, by id."""
    names, found = landing.sample(1_000_000)
    return {entry["id"]: entry for entry in (dict(zip(names, values, strict=True)) for values in found)}


def names(landing):
    return {id: entry["first_name"] for id, entry in stored(landing).items()}


def alive(landing):
    return sorted(id for id, entry in stored(landing).items() if not entry["is_deleted"])


class Crash(Exception):
    pass


def crash_at(step):
    def observe(passed):
        if passed == step:
            raise Crash(step)

    return observe


def full_read(landing, found, *, name="first", hard=False, brake=0.5):
    load(landing, found, reading(name))
    return landing.delete_unseen(DONE, hard=hard, brake=brake)


hashes = count(1)


def another_hash(entry, **changes):
    """The row as another spelling of the same record would give it."""
    at = {name: place for place, name in enumerate(["hash", "errors", "merged_into", *COLUMN_NAMES])}
    values = list(entry)
    for name, value in changes.items():
        values[at[name]] = value
    return (next(hashes), *values[1:])
