"""Salesforce's links as records: what lookup fields hold, and the records of the usual junctions.

Both are read like any other record, by the time of their change: a lookup that changes is a change of its record.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import msgspec

from sync_pipelines.model.association import Association, association_page
from sync_pipelines.model.errors import SkipObject
from sync_pipelines.model.flow import Flow, Notice, Page, with_pages
from sync_pipelines.model.provider import CrmObject, ReadPlan, VendorField
from sync_pipelines.providers.salesforce.describing import describe
from sync_pipelines.providers.salesforce.reading import read, read_ids
from sync_pipelines.providers.salesforce.soql import CURSORS, long_id

LOOKUP: Final = "LOOKUP"
JUNCTION: Final = "JUNCTION"
NO_LINKS: Final = frozenset({"MasterRecordId", "CreatedById", "LastModifiedById"})
"""Lookups that say something of the record itself; they are read where they are asked for by name."""
PREFIXES: Final[Mapping[str, str]] = {
    "001": "Account",
    "003": "Contact",
    "005": "User",
    "006": "Opportunity",
    "00G": "Group",
    "00Q": "Lead",
    "500": "Case",
    "701": "Campaign",
}
"""Beginnings of ids, for lookups that lead to several objects."""


@dataclass(frozen=True, kw_only=True)
class Junction:
    """An object whose records link two others. `ends`: object -> the field that holds its id.

    `implied`: it is read where its other end is asked for, as no lookup leads there.
    """

    name: str
    ends: Mapping[str, str]
    label: str
    implied: bool = True

    def other_end(self, name: str) -> str:
        return next(end for end in self.ends if end != name)


JUNCTIONS: Final = (
    Junction(
        name="AccountContactRelation",
        ends={"Account": "AccountId", "Contact": "ContactId"},
        label="Roles",
        implied=False,
    ),
    Junction(
        name="OpportunityContactRole", ends={"Opportunity": "OpportunityId", "Contact": "ContactId"}, label="Role"
    ),
    Junction(name="CampaignMember", ends={"Campaign": "CampaignId", "Contact": "ContactId"}, label="Status"),
)

Record: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Source:
    """Records that tell links: which, which of their fields, and what links each tells."""

    object: CrmObject
    fields: tuple[VendorField, ...]
    links: Callable[[Record], Iterator[Association]]


def read_associations(root: str, plan: ReadPlan) -> Flow:
    """Lookups first, then the wanted junctions, one after the other."""
    parent = plan.object.associations_of
    assert parent is not None
    parts = [None, *_junctions(parent.name, plan.associated)]
    at = plan.resume or {"part": 0, "at": None}
    told = 0
    for number in range(at["part"], len(parts)):
        junction = parts[number]
        resume = at["at"] if number == at["part"] else None
        if junction is None:
            source = yield from _lookups(root, parent, plan.associated)
        else:
            source = yield from _junction(root, parent, junction)
        if source is not None:
            following = {"part": number + 1, "at": None} if number + 1 < len(parts) else None
            told = yield from _part(root, replace(plan, resume=resume), source, number, following, told)


def read_associations_of(root: str, plan: ReadPlan, ids: Sequence[str]) -> Flow:
    """What the lookups of these records say. Junctions are records of their own, which these ids do not name."""
    parent = plan.object.associations_of
    assert parent is not None
    source = yield from _lookups(root, parent, plan.associated)
    if source is None:
        return
    inner = replace(plan, object=source.object, fields=source.fields, associated=())
    yield association_page({one: [] for one in ids})
    yield from with_pages(read_ids(root, inner, ids), lambda page: association_page(_told(page, source)))


def _told(page: Page, source: _Source) -> dict[str, list[Association]]:
    """By record its links; a deleted one has none."""
    records: list[Record] = [msgspec.json.decode(text) for text in page.records]
    return {
        record["Id"]: [] if record.get("IsDeleted") else list(source.links(record))
        for record in records
        if record.get("Id")
    }


def _part(
    root: str, plan: ReadPlan, source: _Source, number: int, following: Mapping[str, Any] | None, before: int
) -> Flow:
    """The links that one source tells. Returns how many records have told theirs, `before` among them."""
    told = before

    def change(page: Page) -> Page:
        nonlocal told
        told += len(page.records)
        return association_page(
            _told(page, source),
            resume=following if page.resume is None else {"part": number, "at": page.resume},
            total=None if page.total is None else before + page.total,
        )

    inner = replace(plan, object=source.object, fields=source.fields, associated=())
    yield from with_pages(read(root, inner), change)
    return told


def _lookups(root: str, parent: CrmObject, associated: Collection[str]) -> Flow:
    schema = yield from describe(root, parent)
    lookups = [known for known in schema.fields if _is_wanted(known, associated)]
    reached = {name for known in lookups for name in (known.name, *known.refers_to)}
    reached.update(end for each in _junctions(parent.name, associated) for end in (each.name, *each.ends))
    for name in sorted(set(associated) - reached):
        yield Notice(message=f"{parent.name} has no lookup to {name}: take it out of its associations.")

    def links(record: Record) -> Iterator[Association]:
        for known in lookups:
            if not record.get(known.name):
                continue
            own, to_id = record["Id"], long_id(record[known.name])
            to_object = known.refers_to[0] if len(known.refers_to) == 1 else PREFIXES.get(to_id[:3])
            if associated and known.name not in associated and to_object and to_object not in associated:
                continue
            yield Association(
                id=f"{own}:{known.name}:{to_id}",
                source_id=own,
                from_object=parent.name,
                from_id=own,
                to_object=to_object,
                to_id=to_id,
                category=LOOKUP,
                type_id=known.name,
                label=known.label or None,
            )

    return _Source(object=parent, fields=_needed(schema.fields, {known.name for known in lookups}), links=links)


def _is_wanted(known: VendorField, associated: Collection[str]) -> bool:
    if known.vendor_type != "reference":
        return False
    if not associated:
        return known.name not in NO_LINKS
    return known.name in associated or (known.name not in NO_LINKS and not set(associated).isdisjoint(known.refers_to))


def _junctions(parent: str, associated: Collection[str]) -> list[Junction]:
    return [
        each
        for each in JUNCTIONS
        if parent in each.ends and (each.name in associated or (each.implied and each.other_end(parent) in associated))
    ]


def _junction(root: str, parent: CrmObject, junction: Junction) -> Flow:
    """None where the org has no such object."""
    crm_object = replace(parent, name=junction.name)
    try:
        schema = yield from describe(root, crm_object)
    except SkipObject as refusal:
        yield Notice(message=f"The links of {junction.name} are left out. {refusal}", error_type="not_found")
        return None
    other = junction.other_end(parent.name)
    own_field, other_field = junction.ends[parent.name], junction.ends[other]

    def links(record: Record) -> Iterator[Association]:
        if record.get(own_field) and record.get(other_field):
            to_id = long_id(record[other_field])
            yield Association(
                id=f"{record['Id']}:{junction.name}:{to_id}",
                source_id=record["Id"],
                from_object=parent.name,
                from_id=long_id(record[own_field]),
                to_object=other,
                to_id=to_id,
                category=JUNCTION,
                type_id=junction.name,
                label=record.get(junction.label),
            )

    wanted = {own_field, other_field, junction.label}
    return _Source(object=crm_object, fields=_needed(schema.fields, wanted), links=links)


def _needed(fields: Collection[VendorField], names: Collection[str]) -> tuple[VendorField, ...]:
    wanted = {"Id", "IsDeleted", *CURSORS[:1], *names}
    return tuple(known for known in fields if known.name in wanted)
