"""One canonical JSON for a HubSpot record, whichever way it was read."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from sync_pipelines.model.errors import ProtocolError
from sync_pipelines.model.flow import Flow, Post
from sync_pipelines.providers.hubspot.describing import Paging, next_after
from sync_pipelines.providers.hubspot.paths import Paths

COMPANIES: Final = "companies"
PRIMARY_TYPES: Final = {"contacts": ("contact_to_company", 1), "deals": ("deal_to_company", 5)}
"""Objects whose account is a company: name and id of the association type that says "primary"."""
BATCH: Final = 100


class Linked(msgspec.Struct):
    id: str | int
    type: str = ""


class Links(msgspec.Struct):
    results: list[Linked]
    paging: Paging | None = None


NOTHING: Final = msgspec.Raw(b"")


class Record(msgspec.Struct):
    """A record as list, search and batch/read send it; what else they send is left out. Texts are kept as they came."""

    id: str | int | UnsetType | None = UNSET
    properties: msgspec.Raw = msgspec.Raw(b"{}")
    createdAt: msgspec.Raw = NOTHING
    updatedAt: msgspec.Raw = NOTHING
    archived: msgspec.Raw = NOTHING
    archivedAt: msgspec.Raw = NOTHING
    associations: dict[str, Links] | UnsetType = UNSET


class RecordsPage(msgspec.Struct):
    results: list[Record]
    paging: Paging | None = None
    total: int | None = None


_encode = msgspec.json.Encoder().encode


def canonical(record: Record, companies: Mapping[str, Sequence[str]] | None) -> bytes:
    """The record's text. `companies` by record id; None where the object has no such associations."""
    parts: list[bytes | msgspec.Raw] = [b'{"properties":', record.properties]
    if record.id is not UNSET:
        parts[:1] = [b'{"id":', _encode(record.id), b',"properties":']
    if record.createdAt:
        parts += (b',"createdAt":', record.createdAt)
    if record.updatedAt:
        parts += (b',"updatedAt":', record.updatedAt)
    if record.archived:
        parts += (b',"archived":', record.archived)
    if record.archivedAt and bytes(record.archivedAt) != b"null":
        parts += (b',"archivedAt":', record.archivedAt)
    if companies is not None:
        found = companies.get(str(record.id), ())
        parts += (b',"associations":{"companies":', _encode(found) if found else b"[]", b"}")
    parts.append(b"}")
    return b"".join(parts)


def ordered(ids: Mapping[str, bool]) -> list[str]:
    """Company ids (True: primary), the primary first, then by number."""
    return sorted(ids, key=lambda one: (not ids[one], len(one), one))


def listed_companies(name: str, records: Iterable[Record]) -> tuple[dict[str, list[str]], list[str]]:
    """({record id: company ids}, ids of records that have more companies than the page shows)."""
    primary, _ = PRIMARY_TYPES[name]
    found: dict[str, list[str]] = {}
    cut: list[str] = []
    for record in records:
        links = record.associations.get(COMPANIES) if isinstance(record.associations, dict) else None
        if links is None:
            continue
        if next_after(links.paging) is not None:
            cut.append(str(record.id))
        companies: dict[str, bool] = {}
        for link in links.results:
            companies[str(link.id)] = companies.get(str(link.id), False) or link.type == primary
        found[str(record.id)] = ordered(companies)
    return found, cut


class _From(msgspec.Struct):
    id: str | int


class _Type(msgspec.Struct, rename={"id": "typeId", "category": "category"}):
    id: int
    category: str = "HUBSPOT_DEFINED"


class _To(msgspec.Struct, rename={"id": "toObjectId", "types": "associationTypes"}):
    id: str | int
    types: list[_Type] = []


class _Associated(msgspec.Struct, rename={"origin": "from"}):
    origin: _From
    to: list[_To]
    paging: Paging | None = None


class _AssociatedPage(msgspec.Struct):
    results: list[_Associated]


def companies_of(paths: Paths, name: str, ids: Sequence[str]) -> Flow:
    """{record id: company ids} by the associations API, for records whose page did not tell them."""
    _, primary = PRIMARY_TYPES[name]
    found: dict[str, dict[str, bool]] = {}
    asked: set[tuple[str, str]] = set()
    waiting: list[dict[str, Any]] = [{"id": one} for one in ids]
    while waiting:
        batch, waiting = waiting[:BATCH], waiting[BATCH:]
        response = yield Post(paths.of(paths.associations, name, COMPANIES), {"inputs": batch})
        page: _AssociatedPage = response.decode(_AssociatedPage)
        for result in page.results:
            origin = str(result.origin.id)
            companies = found.setdefault(origin, {})
            for to in result.to:
                is_primary = any(kind.id == primary and kind.category == "HUBSPOT_DEFINED" for kind in to.types)
                companies[str(to.id)] = companies.get(str(to.id), False) or is_primary
            after = next_after(result.paging)
            if after is None:
                continue
            if (origin, after) in asked:
                raise ProtocolError("HubSpot sent the same page token of associations twice; run the sync again.")
            asked.add((origin, after))
            waiting.append({"id": origin, "after": after})
    return {one: ordered(companies) for one, companies in found.items()}
