"""What a run does when the account's fields are not the ones that were there before."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from sync_pipelines.engine.layout import shape_fields
from sync_pipelines.engine.tally import Tally
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.provider import CrmObject, ObjectSchema
from sync_pipelines.model.schema_change import (
    DISCARD_FIELD,
    DISCARD_RECORD,
    EVOLVE,
    FREEZE,
    VANISHED,
    FieldChange,
    Fields,
    changes_between,
    fields_of,
    mark_of,
    told,
)

if TYPE_CHECKING:
    from sync_pipelines.engine.inbound import Work


class SchemaMemory(Protocol):
    """What is remembered of one connection's object. The marks (see mark_of) are "" where nothing is."""

    accepted: str
    seen: str

    def note(self, fields: Fields, policy: str, *, accept: bool) -> Fields:
        """Remember these fields as seen, with what changed; the fields that were accepted until now.

        `accept`: they are the accepted ones from now on.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """The schema to work with. `left_out`: fields without it. `refused`: records that carry a value in one of these
    fields are rejected, with what is said of it. `notices`: for the run."""

    schema: ObjectSchema
    left_out: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    @property
    def unexpected(self) -> frozenset[str]:
        """Fields that are not read as they would be had they been accepted."""
        return self.left_out | self.refused.keys()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Whose object it is, for messages."""

    customer: str
    provider: str
    object: str

    @property
    def accepting(self) -> str:
        return f"`sync-pipelines schema accept {self.customer} {self.provider} {self.object}`"


def ruled(work: "Work", schema: ObjectSchema, memory: SchemaMemory | None, tally: Tally) -> Ruling:
    """What to read for this work; what is to be said of it goes into the tally. Nothing without a memory.

    ConfigurationError where the policy is freeze and the fields changed.
    """
    if memory is None or work.declared.is_associations:
        return Ruling(schema=schema)
    place = Place(customer=work.connection.customer_id, provider=work.provider.name, object=work.declared.object)
    ruling = rule(work.declared.schema_policy, schema, work.crm_object, memory, place)
    for text in ruling.notices:
        tally.notice(text)
    return ruling


def rule(policy: str, schema: ObjectSchema, crm_object: CrmObject, memory: SchemaMemory, place: Place) -> Ruling:
    """What to read of an account with this schema. ConfigurationError where the policy is freeze and it changed."""
    fields = fields_of(schema)
    mark = mark_of(fields)
    if memory.accepted == memory.seen == mark:
        return Ruling(schema=schema)
    first_time = not memory.accepted
    accepted = memory.note(fields, policy, accept=first_time or policy == EVOLVE)
    changes = () if first_time else changes_between(accepted, fields)
    if not changes:
        return Ruling(schema=schema)
    if policy == FREEZE:
        raise ConfigurationError(
            f"The fields of {place.object} in the account of {place.customer} changed, and its schema_policy is "
            f"freeze: {told(changes)}. Nothing was read. Accept it with {place.accepting}, or have it undone there."
        )
    gone = tuple(change for change in changes if change.kind == VANISHED)
    # The record's own id and times are no fields that one could do without.
    needed = {name.casefold() for name in shape_fields(crm_object)}
    new = {change.field: change for change in changes if change.after is not None}
    new = {name: change for name, change in new.items() if name.casefold() not in needed}
    if policy == DISCARD_FIELD:
        return _without(schema, new, gone, place)
    if policy == DISCARD_RECORD:
        return _refusing(schema, new, gone, place)
    return Ruling(schema=schema, notices=(f"The fields of {place.object} changed: {told(changes)}.",))


def _without(
    schema: ObjectSchema, new: Mapping[str, FieldChange], gone: tuple[FieldChange, ...], place: Place
) -> Ruling:
    kept = tuple(known for known in schema.fields if known.name not in new)
    notices = _told_gone(gone)
    if new:
        notices += (f"Left out (schema_policy: discard field): {told(new.values())}. Take it with {place.accepting}.",)
    return Ruling(schema=replace(schema, fields=kept), left_out=frozenset(new), notices=notices)


def _refusing(
    schema: ObjectSchema, new: Mapping[str, FieldChange], gone: tuple[FieldChange, ...], place: Place
) -> Ruling:
    notices = _told_gone(gone)
    if new:
        notices += (
            f"Records with a value in one of these are rejected (schema_policy: discard record): {told(new.values())}. "
            f"Take them with {place.accepting}.",
        )
    refused = {
        name: f"The record has a value in a field that was not accepted: {change.told}. Take it with {place.accepting}."
        for name, change in new.items()
    }
    return Ruling(schema=schema, refused=refused, notices=notices)


def _told_gone(gone: tuple[FieldChange, ...]) -> tuple[str, ...]:
    return (f"The account has no such field any more: {told(gone)}.",) if gone else ()
