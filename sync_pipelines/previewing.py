"""Previews of a project's syncs: a few sample records of a connected account, read and mapped, and nothing written."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sync_pipelines.config.rules import rules_from
from sync_pipelines.covering import declared_for, objects_covering
from sync_pipelines.engine.layout import FieldPlan, plan_fields, unused_rules
from sync_pipelines.engine.preview import PreviewRecord, preview_records
from sync_pipelines.engine.selecting import Selection, members_of, select, with_fields
from sync_pipelines.engine.verdicts import Verdict, verdicts
from sync_pipelines.http_client.client import VendorSession
from sync_pipelines.model.checkpoint import Checkpoint, Reading
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.errors import ConfigurationError, Reauthorize, Wait
from sync_pipelines.model.flow import Flow, Page
from sync_pipelines.model.mapping import Mapping as FieldMapping
from sync_pipelines.model.provider import CrmObject, ObjectSchema, Provider, ReadPlan
from sync_pipelines.model.sync import Sync, SyncObject
from sync_pipelines.project import Project
from sync_pipelines.spending import Sightings

MOST_RECORDS: Final = 100
_ALL: Final = "This sample is of all records; each says whether the sync's filter and history choose it."
_FROM_NOW: Final = "The history is judged as if the sync began now."
_NEVER_BULK: Final = 2**31
"""A bulk job for a handful of records would take minutes."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """Sample records of one customer's object, as a sync would store them.

    `version`: of the customer's mapping, 0 where there is none. `saved`: the same records by the saved mapping, where a
    candidate was previewed. `missing`: mapped fields that the account does not have or does not show.
    """

    sync: str
    object: str
    provider: str
    customer_id: str
    table: str
    version: int
    records: Sequence[PreviewRecord]
    saved: Sequence[PreviewRecord] | None = None
    missing: Sequence[str] = ()
    notices: Sequence[str] = ()
    calls: int = 0


def find_sync(project: Project, customer_id: str, name: str, object_name: str) -> str:
    """The sync of that name, or the one sync of the provider of that name which has the object for the customer."""
    configuration = project.configuration
    if name in configuration.syncs:
        return name
    if name not in configuration.providers:
        known = ", ".join([*sorted(configuration.syncs), *sorted(configuration.providers)])
        raise ConfigurationError(f"There is no sync and no provider named {name}. Known are: {known}.")
    return sync_with(project, customer_id, name, object_name)


def sync_with(project: Project, customer_id: str, name: str, object_name: str) -> str:
    """The one sync of the provider of that name that has the object for the customer."""
    wanted = project.providers[name].find_object(object_name).name
    having = [
        sync.name
        for sync, declared in objects_covering(project, customer_id, name)
        if project.providers[name].find_object(declared.object).name == wanted
    ]
    if not having:
        raise ConfigurationError(f"No sync of {name} has an object {object_name} for {customer_id}.")
    if len(having) > 1:
        raise ConfigurationError(f"{object_name} is in the syncs {', '.join(having)}: name one of them instead.")
    return having[0]


def preview(
    project: Project,
    sync: str,
    object_name: str,
    customer_id: str,
    *,
    limit: int = 5,
    record: str | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Preview:
    """Read one page of the account, at most `limit` records or just the `record` of that id, and map it.

    `changes`: written rules by field, laid over the saved mapping ("" takes one away) and not saved. The calls count on
    the account's API budget, and an account that is left alone is not asked. No lease is taken: what runs goes on.
    """
    (connection,) = project.connections(sync, [customer_id])
    declared = _declared(project, project.sync(sync), object_name, customer_id)
    provider = project.providers[connection.provider]
    refuse_if_resting(project, provider, connection)
    saved = project.store.mappings.current(customer_id, provider.name, declared.object)
    candidate = saved if changes is None else _laid_over(saved, changes, connection, declared)
    with counted_session(project, connection) as session:
        schema = session.ask(provider.describe(project.crm_object(sync, declared.object)))
        look = Look(project, project.sync(sync), declared, schema)
        plan = look.plan(candidate)
        before = _plan_if_it_fits(look, saved) if changes is not None else None
        choice = look.choice(customer_id, plan, session.vendor_now())
        flow = look.flow([plan, *([before] if before else [])], limit, record, choice.selection)
        texts, notices = one_page(session, flow, limit)
        verdicts = look.verdicts(texts, choice.selection, session)
    return Preview(
        sync=sync,
        object=declared.object,
        provider=provider.name,
        customer_id=customer_id,
        table=project.table(sync, declared.object).name,
        version=saved.version if saved else 0,
        records=[
            replace(each, verdict=verdict) for each, verdict in zip(look.records(texts, plan), verdicts, strict=True)
        ],
        saved=look.records(texts, before) if before else None,
        missing=plan.missing,
        notices=[*choice.notices, *notices],
        calls=session.calls,
    )


@dataclass(frozen=True)
class Choice:
    """Which records the sync would copy of this customer (None: nothing is known of it, or all), and what to say."""

    selection: Selection | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Look:
    """An object of a sync, as one account describes it."""

    project: Project
    sync: Sync
    declared: SyncObject
    schema: ObjectSchema

    @property
    def provider(self) -> Provider:
        return self.project.provider_of(self.sync)

    @property
    def crm_object(self) -> CrmObject:
        return self.project.crm_object(self.sync.name, self.declared.object)

    def plan(self, mapping: FieldMapping | None) -> FieldPlan:
        return plan_fields(self.declared, self.crm_object, self.schema, self.provider.name, mapping)

    def choice(self, customer_id: str, plan: FieldPlan, now: datetime) -> Choice:
        """By the customer's filter and history, as a first run at this time of the vendor's clock would see them."""
        own = self.sync.object_of(customer_id, self.declared)
        if own.filter is None and own.history is None:
            return Choice()
        begun = Checkpoint(reading=Reading(id="preview", full=True, started_at=now))
        try:
            key = self.project.settings.transform_key
            selection = select(own, self.crm_object, self.schema, begun, plan.custom, hash_key=key)
        except ConfigurationError as problem:
            return Choice(notices=(f"A run would fail: {problem}",))
        return Choice(selection, (_ALL, _FROM_NOW) if own.history is not None else (_ALL,))

    def verdicts(
        self, texts: Sequence[bytes], selection: Selection | None, session: VendorSession
    ) -> Sequence[Verdict | None]:
        """Asks the account for the members of lists that are named."""
        if selection is None:
            return [None] * len(texts)
        members = members_of(selection, self.provider, self.crm_object, session.ask) if texts else {}
        return verdicts(texts, selection, self.crm_object, members)

    def flow(
        self, plans: Sequence[FieldPlan], limit: int, record: str | None, selection: Selection | None = None
    ) -> Flow:
        """Asks for the fields of all these plans, and for those that the selection looks at."""
        fields = tuple(dict.fromkeys(field for plan in plans for field in plan.fields))
        if selection is not None:
            fields = with_fields(fields, selection)
        read = ReadPlan(
            object=self.crm_object,
            fields=fields,
            limit=limit,
            page_size=limit,
            bulk_above=_NEVER_BULK,
            associated=tuple(self.provider.find_object(name).name for name in self.declared.associated),
        )
        if record is None:
            return self.provider.read(read)
        if self.provider.find is None or self.declared.is_associations:
            raise ConfigurationError(f"{self.provider.title} cannot be asked for one of these: leave --record out.")
        return self.provider.find(read, record)

    def records(self, texts: Sequence[bytes], plan: FieldPlan) -> list[PreviewRecord]:
        return preview_records(
            texts,
            declared=self.declared,
            crm_object=self.crm_object,
            schema=self.schema,
            table=self.project.table(self.sync.name, self.declared.object),
            plan=plan,
            hash_key=self.project.settings.transform_key,
        )


def _declared(project: Project, sync: Sync, name: str, customer_id: str) -> SyncObject:
    """The sync's object by the name in its configuration, or by any of the vendor's names."""
    provider = project.provider_of(sync)
    own = sync.objects_of(customer_id)
    by_vendor = [each for each in own if provider.find_object(each.object) == provider.find_object(name)]
    return by_vendor[0] if len(by_vendor) == 1 else declared_for(sync, customer_id, name)


def refuse_if_resting(project: Project, provider: Provider, connection: Connection) -> None:
    if connection.status == "expired":
        raise Reauthorize(
            f"The connection of {connection.customer_id} to {provider.title} has expired: the customer must reconnect."
        )
    hold = project.store.budgets.holds([connection], project.budget_terms).get(connection.id)
    if hold is not None:
        raise Wait(hold.reason, until=hold.until)


def _laid_over(
    saved: FieldMapping | None, changes: Mapping[str, Any], connection: Connection, declared: SyncObject
) -> FieldMapping:
    kept = {name: rule for name, rule in (saved.fields if saved else {}).items() if name not in changes}
    laid_over = FieldMapping(
        customer_id=connection.customer_id,
        provider=connection.provider,
        object=declared.object,
        version=saved.version if saved else 0,
        fields=kept | rules_from({name: rule for name, rule in changes.items() if rule}),
    )
    unused = unused_rules(declared, connection.provider, laid_over)
    if reasons := dict.fromkeys(unused[name] for name in changes if name in unused):
        raise ConfigurationError(f"This cannot be mapped: {', '.join(reasons)}.")
    return laid_over


def _plan_if_it_fits(look: Look, saved: FieldMapping | None) -> FieldPlan | None:
    """None where the saved mapping does not work, which the candidate may be about to mend."""
    try:
        return look.plan(saved)
    except ConfigurationError:
        return None


def one_page(session: VendorSession, flow: Flow, limit: int) -> tuple[list[bytes], list[str]]:
    """The records of the first page that has any, and what was told on the way."""
    notices: list[str] = []
    for step in session.read(flow):
        if isinstance(step, Page):
            return list(step.records[:limit]), notices
        notices.append(step.message)
    return [], notices


@contextmanager
def counted_session(project: Project, connection: Connection) -> Iterator[VendorSession]:
    """A session whose calls are remembered in the account's budget, however it ends."""
    session = project.session(connection)
    try:
        yield session
    finally:
        session.close()
        seen = Sightings(project.store.budgets, project.budget_terms)
        seen.add(connection.id, session)
        seen.record()
