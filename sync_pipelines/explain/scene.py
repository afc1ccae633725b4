"""What an explanation is made of: one customer's object, its rules, and the vendor where it has to be asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

from sync_pipelines.covering import declared_for
from sync_pipelines.engine.layout import plan_fields
from sync_pipelines.engine.tracing import Tracer
from sync_pipelines.http_client.client import VendorSession
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.mapping import Mapping as FieldMapping
from sync_pipelines.model.provider import CrmObject, ObjectSchema, Provider, VendorField
from sync_pipelines.model.schema_change import DISCARD_FIELD
from sync_pipelines.model.sync import Sync, SyncObject
from sync_pipelines.previewing import Look, counted_session, one_page, refuse_if_resting
from sync_pipelines.project import Project


@dataclass(frozen=True)
class Scene:
    """One customer's object of a sync."""

    project: Project
    sync: Sync
    declared: SyncObject
    connection: Connection

    @classmethod
    def of(cls, project: Project, sync: str, object_name: str, customer_id: str) -> "Scene":
        """ConfigurationError for an object or a customer that the sync does not have."""
        known = project.sync(sync)
        (connection,) = project.connections(sync, [customer_id])
        declared = declared_for(known, customer_id, object_name)
        return cls(project, known, known.object_of(customer_id, declared), connection)

    @property
    def customer_id(self) -> str:
        return self.connection.customer_id

    @property
    def provider(self) -> Provider:
        return self.project.provider_of(self.sync)

    @cached_property
    def crm_object(self) -> CrmObject:
        return self.project.crm_object(self.sync.name, self.declared.object)

    @cached_property
    def versions(self) -> list[FieldMapping]:
        """Of the customer's mapping, newest first."""
        return self.project.store.mappings.history(self.customer_id, self.provider.name, self.declared.object)

    @cached_property
    def remembered(self) -> ObjectSchema | None:
        """The account's fields as runs of this sync work with them; None where no run has remembered any.

        What ids are called, such as stages, is not remembered.
        """
        for known in self.project.store.schemas.known(self.connection, self.declared.object):
            if known.sync == self.sync.name:
                fields = known.accepted if self.declared.schema_policy == DISCARD_FIELD else known.seen
                return ObjectSchema(
                    fields=tuple(VendorField(name=name, vendor_type=kind) for name, kind in fields.items())
                )
        return None

    def tracer(self, schema: ObjectSchema, mapping: FieldMapping | None) -> Tracer:
        """ConfigurationError where the mapping does not work with these fields."""
        return Tracer(
            declared=self.declared,
            crm_object=self.crm_object,
            schema=schema,
            table=self.project.table(self.sync.name, self.declared.object),
            plan=plan_fields(self.declared, self.crm_object, schema, self.provider.name, mapping),
            hash_key=self.project.settings.transform_key,
        )

    @contextmanager
    def asking(self) -> "Iterator[Asking]":
        """A conversation with the vendor. Reauthorize or Wait where the account is to be left alone."""
        refuse_if_resting(self.project, self.provider, self.connection)
        with counted_session(self.project, self.connection) as session:
            yield Asking(self, session)


@dataclass(frozen=True)
class Asking:
    """The vendor asked in the connection's name. Its calls count on the account's budget."""

    scene: Scene
    session: VendorSession

    @cached_property
    def schema(self) -> ObjectSchema:
        described: ObjectSchema = self.session.ask(self.scene.provider.describe(self.scene.crm_object))
        return described

    @property
    def can_find(self) -> bool:
        return self.scene.provider.find is not None and not self.scene.declared.is_associations

    def record(self, id: str, tracer: Tracer) -> bytes | None:
        """The record as the vendor shows it now, None where it shows none of this id."""
        look = Look(self.scene.project, self.scene.sync, self.scene.declared, self.schema)
        # All fields: a filter may look at others than the mapping does.
        plan = replace(tracer.plan, fields=self.schema.fields)
        found, _ = one_page(self.session, look.flow([plan], 1, id), 1)
        return found[0] if found else None
