"""Fills an account with its invented records, the same ones for the same seed and sizes."""

from collections.abc import Iterator
from random import Random
from typing import Any

from sync_pipelines.sandbox import values
from sync_pipelines.sandbox.accounts import Account
from sync_pipelines.sandbox.clock import DAY_MS, iso, salesforce_iso
from sync_pipelines.sandbox.cutting import encode
from sync_pipelines.sandbox.schema import Draw, ObjectSpec
from sync_pipelines.sandbox.storage import Link, Row, Storage

DELETED_SHARE = 0.015
MERGE_EVERY = 331
"""Every so many records one has been merged into the record before it."""
TIE_FROM, TIE_TO = 0.10, 0.13
"""This part of an object was written by one bulk job: all of it carries one stamp."""
MERGEABLE = frozenset(("Contact", "Account", "Lead", "contacts", "companies"))

CONTACT_TO_COMPANY = ((1, 2), (279, 280))
DEAL_TO_COMPANY = ((5, 6), (341, 342))
DEAL_TO_CONTACT = ((3, 4),)
CROWD = 130
"""The first contact and the first deal have so many companies (as far as there are): more than one page of them."""


def fill(storage: Storage, account: Account, *, seed: int, now: int) -> None:
    """Make all records of an account; `now` is the world's epoch, everything was created before it."""
    counts = {name: account.customer.sizes.get(name, 0) for name in account.objects}
    for name, spec in account.objects.items():
        rng = Random(f"{seed}/{account.customer.id}/{name}")
        draw = Draw(
            rng=rng,
            counts=counts,
            id_of=lambda object, n: account.record_id(account.objects[object], account.objects[object].number(n)),
            vendor=account.vendor,
            now=now,
        )
        storage.insert(account.tables[name], _rows(account, spec, draw, counts[name]))
    if account.vendor == "hubspot":
        _associate(storage, account, Random(f"{seed}/{account.customer.id}/links"), counts)


def _rows(account: Account, spec: ObjectSpec, draw: Draw, count: int) -> Iterator[Row]:
    makers = [(field.name, field.make) for field in spec.fields.values() if field.make is not None]
    finish = _finish_salesforce if account.vendor == "salesforce" else _finish_hubspot
    tie = (draw.now - 40 * DAY_MS) // 1000 * 1000
    for n in range(count):
        draw.n = n
        draw.created, draw.modified = _stamps(draw, n, count, tie)
        draw.record = record = {}
        for name, make in makers:
            record[name] = make(draw)
        yield finish(account, spec, draw, count)


def _stamps(draw: Draw, n: int, count: int, tie: int) -> tuple[int, int]:
    age = int(draw.rng.random() * 700 * DAY_MS) + DAY_MS
    created = draw.now - age
    modified = created + int(draw.rng.random() * (age - 3_600_000))
    if TIE_FROM <= n / count < TIE_TO:
        created, modified = min(created, tie), tie
    if draw.vendor == "salesforce":
        return created // 1000 * 1000, modified // 1000 * 1000
    return created, modified


def _merge_role(spec: ObjectSpec, n: int, count: int) -> str:
    if spec.name not in MERGEABLE:
        return ""
    place = n % MERGE_EVERY
    if place == MERGE_EVERY - 1:
        return "loser"
    return "winner" if place == MERGE_EVERY - 2 and n + 1 < count else ""


def _finish_salesforce(account: Account, spec: ObjectSpec, draw: Draw, count: int) -> Row:
    record, n = draw.record, draw.n
    for name, value in record.items():
        if value == "":
            record[name] = None
    role = _merge_role(spec, n, count)
    deleted = role == "loser" or (spec.name != "User" and role == "" and draw.rng.random() < DELETED_SHARE)
    number = spec.number(n)
    system: dict[str, Any] = {"Id": account.record_id(spec, number), "IsDeleted": deleted}
    if "MasterRecordId" in spec.fields:
        system["MasterRecordId"] = account.record_id(spec, spec.number(n - 1)) if role == "loser" else None
    stamp = salesforce_iso(draw.modified)
    system |= {"CreatedDate": salesforce_iso(draw.created), "LastModifiedDate": stamp, "SystemModstamp": stamp}
    return Row(
        key=account.key_of_number(spec, number),
        created=draw.created,
        modified=draw.modified,
        committed=draw.modified,
        deleted=int(deleted),
        archived=None,
        body=encode(system | record),
    )


def _finish_hubspot(account: Account, spec: ObjectSpec, draw: Draw, count: int) -> Row:
    record, n = draw.record, draw.n
    number = spec.number(n)
    role = _merge_role(spec, n, count)
    share = 0.15 if spec.name == "owners" else DELETED_SHARE
    deleted = role == "loser" or (role == "" and draw.rng.random() < share)
    archived = min(draw.modified + int(draw.rng.random() * 20 * DAY_MS), draw.now - 1) if deleted else None
    if spec.name != "owners":
        record["hs_object_id"] = str(number)
        record[spec.created_field] = iso(draw.created)
        record[spec.modified_field] = iso(draw.modified)
        record["hs_merged_object_ids"] = str(spec.number(n + 1)) if role == "winner" else None
        record = dict(sorted(record.items()))
    return Row(
        key=account.key_of_number(spec, number),
        created=draw.created,
        modified=draw.modified,
        committed=draw.modified,
        deleted=int(deleted),
        archived=archived,
        body=encode(record),
    )


def both_ways(account: Account, from_key: int, to_key: int, types: tuple[tuple[int, int], ...]) -> Iterator[Link]:
    """The links of an association in both directions; `types` are (type id, type id of the reverse)."""
    from_tbl, to_tbl = from_key >> 40, to_key >> 40
    for there, back in types:
        yield Link(from_key, to_tbl, to_key, there)
        yield Link(to_key, from_tbl, from_key, back)


def _associate(storage: Storage, account: Account, rng: Random, counts: dict[str, int]) -> None:
    storage.link(_companies_of(account, rng, "contacts", CONTACT_TO_COMPANY, counts))
    storage.link(_companies_of(account, rng, "deals", DEAL_TO_COMPANY, counts))
    deals, contacts = account.objects["deals"], account.objects["contacts"]
    pick = values.integer(0, max(counts["contacts"] - 1, 0))
    draw = Draw(rng=rng, counts=counts, id_of=lambda object, n: "")
    if counts["contacts"]:
        storage.link(
            link
            for n in range(counts["deals"])
            for link in both_ways(
                account,
                account.key_of_number(deals, deals.number(n)),
                account.key_of_number(contacts, contacts.number(pick(draw))),
                DEAL_TO_CONTACT,
            )
        )


def _companies_of(
    account: Account, rng: Random, object: str, types: tuple[tuple[int, int], ...], counts: dict[str, int]
) -> Iterator[Link]:
    """None, one, or a few companies each; the first is the primary one and carries both labels."""
    spec, companies, many = account.objects[object], account.objects["companies"], counts["companies"]
    if not many:
        return
    for n in range(counts[object]):
        dice = rng.random()
        first = int(rng.random() * many)
        amount = (
            min(CROWD, many) if n == 0 else 0 if dice < 0.1 else 1 if dice < 0.9 else min(2 + int(dice * 20) % 3, many)
        )
        from_key = account.key_of_number(spec, spec.number(n))
        for place in range(amount):
            to_key = account.key_of_number(companies, companies.number((first + place * 17) % many))
            yield from both_ways(account, from_key, to_key, types if place == 0 else types[1:])
