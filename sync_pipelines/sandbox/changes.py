"""Changes to records: by the vendors' own write calls, and by tests that need a certain past."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

import msgspec

from sync_pipelines.sandbox.accounts import Account
from sync_pipelines.sandbox.clock import iso, salesforce_iso
from sync_pipelines.sandbox.cutting import decode, encode, patch
from sync_pipelines.sandbox.generation import CONTACT_TO_COMPANY, MERGEABLE, both_ways
from sync_pipelines.sandbox.schema import Draw, ObjectSpec
from sync_pipelines.sandbox.storage import Row, number_of
from sync_pipelines.sandbox.telling import Told
from sync_pipelines.sandbox.world import World


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change of one record. `operation`: upsert, delete, restore, purge (gone without a trace) or merge.

    Stamps (epoch ms) are the sandbox clock's now where none is given. A change with `visible` in the future happens
    then, with the stamp it has now: a late commit.
    """

    object: str
    operation: str = "upsert"
    id: str | None = None
    fields: Mapping[str, Any] | None = None
    into: str | None = None
    modified: int | None = None
    created: int | None = None
    visible: int | None = None


def apply(world: World, account: Account, change: Change) -> str:
    """Make the change, or keep it for later. The record's id. LookupError for an object or record that is not there."""
    spec = account.find(change.object)
    if spec is None:
        raise LookupError(f"{account.customer.id} has no object {change.object!r}")
    now = world.clock.now()
    if change.visible is not None and change.visible > now:
        return _keep_for_later(world, account, spec, change, now)
    stamped = now if change.modified is None else change.modified
    if change.operation == "upsert":
        return _upsert(world, account, spec, change, stamped)
    row = find(world, account, spec, change.id or "")
    if change.operation == "delete":
        delete(world, account, spec, row, stamped)
    elif change.operation == "restore":
        restore(world, account, spec, row)
    elif change.operation == "purge":
        world.purged[row.key] = row
        world.storage.remove(row.key)
        _tell(world, account, spec, "privacyDeletion", row.key)
    elif change.operation == "merge":
        merge(world, account, spec, winner=find(world, account, spec, change.into or ""), loser=row, at=stamped)
    else:
        raise ValueError(f"no operation {change.operation!r}; known: upsert, delete, restore, purge, merge")
    return change.id or ""


def apply_due(world: World) -> None:
    """Make the late changes whose time has come."""
    now = world.clock.now()
    if world.next_due is None or world.next_due > now:
        return
    due = world.storage.execute(
        "SELECT id, account, change, due FROM pending WHERE due <= ? ORDER BY due, id", (now,)
    ).fetchall()
    for number, name, text, moment in due:
        world.storage.execute("DELETE FROM pending WHERE id = ?", (number,))
        with world.committing(moment):
            apply(world, world.accounts[name], msgspec.json.decode(text, type=Change))
    world.look_for_due()


def _keep_for_later(world: World, account: Account, spec: ObjectSpec, change: Change, now: int) -> str:
    id = change.id
    if id is None:
        id = account.record_id(spec, world.reserve_number(account, spec))
    kept = Change(**asdict(change) | {"id": id, "modified": now if change.modified is None else change.modified})
    world.storage.execute(
        "INSERT INTO pending (due, account, change) VALUES (?, ?, ?)",
        (change.visible, account.customer.id, msgspec.json.encode(kept)),
    )
    world.look_for_due()
    return id


def find(world: World, account: Account, spec: ObjectSpec, id: str) -> Row:
    """The stored record. LookupError when there is none."""
    key = account.key(spec, id)
    row = None if key is None else world.storage.get(key)
    if row is None:
        raise LookupError(f"{account.customer.id} has no {spec.name} {id!r}")
    return row


def _upsert(world: World, account: Account, spec: ObjectSpec, change: Change, stamped: int) -> str:
    key = None if change.id is None else account.key(spec, change.id)
    if change.id is not None and key is None:
        raise LookupError(f"{change.id!r} cannot be the id of a {spec.name}")
    row = None if key is None else world.storage.get(key)
    fields = dict(change.fields or {})
    if row is None:
        return create(world, account, spec, fields, key=key, created=change.created, modified=stamped)
    update(world, account, spec, row, fields, at=stamped)
    return account.id_of_key(spec, row.key)


def create(
    world: World,
    account: Account,
    spec: ObjectSpec,
    fields: Mapping[str, Any],
    *,
    key: int | None = None,
    created: int | None = None,
    modified: int | None = None,
) -> str:
    """A new record with these fields; the others are empty. Its id."""
    now = world.clock.now()
    if key is None:
        key = account.key_of_number(spec, world.reserve_number(account, spec))
    world.skip_past(account, spec, number_of(key))
    modified = _whole(account, now if modified is None else modified)
    created = _whole(account, min(now, modified) if created is None else created)
    record = {
        name: False if field.type == "boolean" else None for name, field in spec.fields.items() if not field.parts
    }
    record |= _system(account, spec, key, created, modified) | dict(fields)
    _compute(spec, record)
    body = encode(record if account.vendor == "salesforce" else dict(sorted(record.items())))
    at = world.commit_time
    row = Row(key=key, created=created, modified=modified, committed=at, deleted=0, archived=None, body=body)
    world.storage.put(account.tables[spec.name], row)
    _tell(world, account, spec, "creation", key)
    return account.id_of_key(spec, key)


def update(world: World, account: Account, spec: ObjectSpec, row: Row, fields: Mapping[str, Any], *, at: int) -> Row:
    """Change some fields and the modified stamps."""
    at = _whole(account, at)
    changes = dict(fields) | _modified(account, spec, at)
    if spec.fields.get("Name") is not None and not spec.fields["Name"].writable:
        record = decode(row.body) | changes
        _compute(spec, record)
        changes["Name"] = record["Name"]
    fresh = row._replace(modified=at, committed=world.commit_time, body=patch(row.body, changes))
    world.storage.put(account.tables[spec.name], fresh)
    _tell(world, account, spec, "propertyChange", row.key, fields)
    return fresh


def delete(world: World, account: Account, spec: ObjectSpec, row: Row, at: int) -> None:
    """Into the recycle bin. Salesforce moves the modified stamp, HubSpot does not and says when in archivedAt."""
    if account.vendor == "hubspot":
        fresh = row._replace(deleted=1, archived=at, committed=world.commit_time)
    else:
        at = _whole(account, at)
        body = patch(row.body, {"IsDeleted": True} | _modified(account, spec, at))
        fresh = row._replace(deleted=1, modified=at, committed=world.commit_time, body=body)
    world.storage.put(account.tables[spec.name], fresh)
    _tell(world, account, spec, "deletion", row.key)


def restore(world: World, account: Account, spec: ObjectSpec, row: Row) -> None:
    """Out of the recycle bin."""
    now = world.clock.now()
    body = row.body if account.vendor == "hubspot" else patch(row.body, {"IsDeleted": False})
    fresh = row._replace(deleted=0, archived=None, body=body)
    world.storage.put(account.tables[spec.name], fresh)
    update(world, account, spec, fresh, {}, at=now)
    _tell(world, account, spec, "restore", row.key)


def merge(world: World, account: Account, spec: ObjectSpec, *, winner: Row, loser: Row, at: int) -> None:
    """The loser goes to the recycle bin; Salesforce writes the winner on it, HubSpot the loser's id on the winner."""
    if spec.name not in MERGEABLE:
        raise ValueError(f"{spec.name} cannot be merged; these can: {', '.join(sorted(MERGEABLE))}")
    if account.vendor == "salesforce":
        marked = loser._replace(body=patch(loser.body, {"MasterRecordId": account.id_of_key(spec, winner.key)}))
        delete(world, account, spec, marked, at)
        update(world, account, spec, winner, {}, at=at)
        return
    before = decode(winner.body).get("hs_merged_object_ids")
    ids = [part for part in (before, account.id_of_key(spec, loser.key)) if part]
    delete(world, account, spec, loser, at)
    update(world, account, spec, winner, {"hs_merged_object_ids": ";".join(ids)}, at=at)
    survivor = int(account.id_of_key(spec, winner.key))
    told = {"primaryObjectId": survivor, "mergedObjectIds": [int(account.id_of_key(spec, loser.key))]}
    _tell(world, account, spec, "merge", winner.key, more=told)


def _tell(
    world: World,
    account: Account,
    spec: ObjectSpec,
    kind: str,
    key: int,
    fields: Mapping[str, Any] | None = None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Tell whoever has subscribed."""
    id, at = account.id_of_key(spec, key), world.clock.now()
    world.telling.tell(Told(account=account, spec=spec, kind=kind, id=id, at=at, fields=fields or {}, more=more or {}))


def _tell_link(world: World, account: Account, one: list[str], other: list[str], *, removed: bool) -> None:
    """From both ends, as HubSpot does."""
    for (name, id), (to_name, to_id) in ((one, other), (other, one)):
        spec, to_spec = account.find(name), account.find(to_name)
        assert spec is not None
        assert to_spec is not None
        told = {
            "associationType": f"{spec.label}_TO_{to_spec.label}".upper(),
            "fromObjectId": int(id),
            "toObjectId": int(to_id),
            "associationRemoved": removed,
            "fromObjectTypeId": spec.type_id,
            "toObjectTypeId": to_spec.type_id,
        }
        _tell(world, account, spec, "associationChange", find(world, account, spec, id).key, more=told)


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How many live records are changed in which way."""

    updated: int = 0
    created: int = 0
    deleted: int = 0
    merged: int = 0


def change_some(world: World, account: Account, object: str, amounts: Amounts, *, seed: int) -> dict[str, list[Any]]:
    """A seeded change, no record twice. The ids by kind, merges as [loser, winner].

    The clock then goes on by a second, so that all of it lies in the past.
    """
    spec = account.find(object)
    if spec is None:
        raise LookupError(f"{account.customer.id} has no object {object!r}")
    rng = Random(f"{seed}/{account.customer.id}/{object}/{amounts}")
    tbl = account.tables[spec.name]
    live = world.storage.keys(tbl, "AND deleted = 0 ORDER BY key")
    wanted = amounts.updated + amounts.deleted + 2 * amounts.merged
    if wanted > len(live):
        raise ValueError(f"{wanted} live records of {spec.name} are needed, there are {len(live)}")
    keys = rng.sample(live, wanted)
    now = world.clock.now()
    draw = Draw(
        rng=rng,
        counts={name: account.customer.sizes.get(name, 0) for name in account.objects},
        id_of=lambda name, n: account.record_id(account.objects[name], account.objects[name].number(n)),
        vendor=account.vendor,
        now=now,
    )
    found: dict[str, list[Any]] = {"updated": [], "created": [], "deleted": [], "merged": []}
    world.storage.begin()
    try:
        for row in world.storage.many(keys[: amounts.updated]):
            update(world, account, spec, row, _some_fields(spec, draw, row), at=now)
            found["updated"].append(account.id_of_key(spec, row.key))
        for row in world.storage.many(keys[amounts.updated : amounts.updated + amounts.deleted]):
            delete(world, account, spec, row, now)
            found["deleted"].append(account.id_of_key(spec, row.key))
        rest = world.storage.many(keys[amounts.updated + amounts.deleted :])
        for loser, winner in zip(rest[::2], rest[1::2], strict=True):
            merge(world, account, spec, winner=winner, loser=loser, at=now)
            found["merged"].append([account.id_of_key(spec, loser.key), account.id_of_key(spec, winner.key)])
        for _ in range(amounts.created):
            found["created"].append(create(world, account, spec, _new_fields(world, account, spec, draw)))
    finally:
        world.storage.commit()
    world.clock.advance(1000)
    return found


def _some_fields(spec: ObjectSpec, draw: Draw, row: Row) -> dict[str, Any]:
    """New values for a third of the fields that can be written."""
    draw.record, draw.n = decode(row.body), row.key % 1_000_003
    changes = {}
    for field in spec.fields.values():
        if field.make is not None and field.writable and not field.unique and draw.rng.random() < 0.34:
            changes[field.name] = draw.record[field.name] = _stored(draw.vendor, field.make(draw))
    return changes


def _new_fields(world: World, account: Account, spec: ObjectSpec, draw: Draw) -> dict[str, Any]:
    draw.n = world.peek_number(account, spec)
    draw.record = fields = {}
    for field in spec.fields.values():
        if field.make is not None:
            fields[field.name] = _stored(draw.vendor, field.make(draw))
    return fields


def _stored(vendor: str, value: Any) -> Any:
    return None if vendor == "salesforce" and value == "" else value


def _whole(account: Account, moment: int) -> int:
    """Salesforce's stamps are whole seconds."""
    return moment // 1000 * 1000 if account.vendor == "salesforce" else moment


def _system(account: Account, spec: ObjectSpec, key: int, created: int, modified: int) -> dict[str, Any]:
    id = account.id_of_key(spec, key)
    if account.vendor == "salesforce":
        own: dict[str, Any] = {"Id": id, "IsDeleted": False, "CreatedDate": salesforce_iso(created)}
    elif spec.name == "owners":
        own = {}
    else:
        own = {"hs_object_id": id, spec.created_field: iso(created)}
    return own | _modified(account, spec, modified)


def _modified(account: Account, spec: ObjectSpec, at: int) -> dict[str, Any]:
    if account.vendor == "salesforce":
        return {"LastModifiedDate": salesforce_iso(at), "SystemModstamp": salesforce_iso(at)}
    return {} if spec.name == "owners" else {spec.modified_field: iso(at)}


def _compute(spec: ObjectSpec, record: dict[str, Any]) -> None:
    """A person's Name follows the first and last name."""
    name = spec.fields.get("Name")
    if name is not None and not name.writable:
        record["Name"] = f"{record.get('FirstName') or ''} {record.get('LastName') or ''}".strip() or None


def tie(world: World, account: Account, spec: ObjectSpec, count: int, moment: int | None) -> list[str]:
    """Give the first `count` live records one modified stamp. Their ids, in order."""
    rows = world.storage.select(account.tables[spec.name], "AND deleted = 0 ORDER BY key LIMIT ?", (count,))
    if len(rows) < count:
        raise ValueError(f"{count} live records of {spec.name} are needed, there are {len(rows)}")
    at = world.clock.now() if moment is None else moment
    world.storage.begin()
    try:
        for row in rows:
            update(world, account, spec, row, {}, at=at)
    finally:
        world.storage.commit()
    if moment is None:
        world.clock.advance(1000)
    return [account.id_of_key(spec, row.key) for row in rows]


def associate(world: World, account: Account, one: list[str], other: list[str], types: list[list[int]] | None) -> int:
    """Link two HubSpot records, given as [object, id]; by default as contact to its primary company. How many links."""
    keys = _keys(world, account, one, other)
    pairs = CONTACT_TO_COMPANY if types is None else tuple((there, back) for there, back in types)
    found = list(both_ways(account, keys[0], keys[1], pairs))
    world.storage.link(found)
    _tell_link(world, account, one, other, removed=False)
    return len(found)


def part(world: World, account: Account, one: list[str], other: list[str]) -> None:
    """Take every link between two HubSpot records away. The records themselves do not count as changed."""
    here, there = _keys(world, account, one, other)
    world.storage.unlink(here, there)
    world.storage.unlink(there, here)
    _tell_link(world, account, one, other, removed=True)


def _keys(world: World, account: Account, one: list[str], other: list[str]) -> list[int]:
    keys = []
    for object, id in (one, other):
        spec = account.find(object)
        if spec is None:
            raise LookupError(f"{account.customer.id} has no object {object!r}")
        keys.append(find(world, account, spec, id).key)
    return keys
