"""Which records are linked to which, as records of an object of its own: `contact.associations` beside `contact`.

Each has the record that says so as its source: the record whose lookups or associations they are, or the record of a
junction. Whatever a source says replaces all that it said before.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from sync_pipelines.model.common_model import ASSOCIATION, COMMON_COLUMNS, Rule, Take
from sync_pipelines.model.flow import Flow, Page, PageToken
from sync_pipelines.model.provider import ASSOCIATIONS, CrmObject, ObjectSchema, RecordShape, VendorField

SHAPE: Final = RecordShape(id=("id",))
SCHEMA: Final = ObjectSchema(
    fields=tuple(
        VendorField(name=column.name)
        for column in COMMON_COLUMNS[ASSOCIATION]
        if column.name not in ("is_deleted", "last_modified_at")
    )
)
RULES: Final[Mapping[str, Rule]] = {field.name: Take(field.name) for field in SCHEMA.fields if field.name != "id"}

_encode = msgspec.json.Encoder().encode


class Association(msgspec.Struct, frozen=True):
    """One link. `type_id`: the vendor's type of it, or the field or junction that makes it; `category` says which.

    `label`: what people see beside it.
    """

    id: str
    source_id: str
    from_object: str
    from_id: str
    to_object: str | None
    to_id: str
    category: str
    type_id: str
    label: str | None = None


def associations_name(object_name: str) -> str:
    """What the associations of an object are called as an object."""
    return f"{object_name}{ASSOCIATIONS}"


def associations_of(parent: CrmObject, word: str) -> CrmObject:
    """The object. `word` is the parent in the table's name: `contact` for hubspot_contact_association."""
    return CrmObject(
        name=associations_name(parent.name),
        shape=SHAPE,
        cursor_field=parent.cursor_field,
        common_name=ASSOCIATION,
        common=RULES,
        associations_of=parent,
        table=f"{word}_association",
    )


def describe_associations() -> Flow:
    """The answer of a describe flow without asking anything: what an association has is ours to say."""
    yield from ()
    return SCHEMA


def association_page(
    found: Mapping[str, list[Association]], *, resume: PageToken | None = None, total: int | None = None
) -> Page:
    """What each source says now, by its id; nothing is an empty list."""
    return Page(
        records=[_encode(link) for links in found.values() for link in links],
        groups={source: len(links) for source, links in found.items()},
        resume=resume,
        total=total,
    )
