"""One cell explained: the row, the run, the vendor's value, the rules, and whether they still give what is stored."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from sync_pipelines.engine.cleaning import NotARecord
from sync_pipelines.engine.layout import schema_columns
from sync_pipelines.engine.tracing import Trace, TracedRule, Tracer
from sync_pipelines.explain.agreement import agreement
from sync_pipelines.explain.explanation import (
    STORED,
    VENDOR,
    ExplainedRule,
    Explanation,
    Live,
    MappingVersion,
    Misfit,
    WrittenBy,
)
from sync_pipelines.explain.row import FromVendor, row_state
from sync_pipelines.explain.scene import Asking, Scene
from sync_pipelines.model.destination import METADATA, Found, StoredRow, Table
from sync_pipelines.model.errors import ConfigurationError, RejectRecord, SyncError
from sync_pipelines.model.mapping import Mapping as FieldMapping
from sync_pipelines.project import Project

RAW: Final = "raw_data"
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


def explain(
    project: Project,
    sync: str,
    object_name: str,
    customer_id: str,
    id: str,
    column: str | None = None,
    *,
    live: bool = False,
) -> Explanation:
    """Why the column of this record's row holds what it holds; of the row alone where no column is named.

    `column`: also the name of a field of the custom schema. The vendor is asked where the row keeps no record or there
    is no row, and with `live`; that it could not be asked is told. Nothing is changed but the account's API budget.
    ConfigurationError for a sync, object, customer or column that there is not.
    """
    scene = Scene.of(project, sync, object_name, customer_id)
    table = project.table(sync, scene.declared.object)
    named = None if column is None else _column(scene, table, column)
    scope = project.scope_of(scene.sync, scene.declared, customer_id)
    found = project.destination(scene.sync, customer_id).find(scope, table, id)
    with ExitStack() as conversations:
        telling = _Telling(scene, table, found, id, named, live, conversations)
        return telling.explanation()


def _column(scene: Scene, table: Table, name: str) -> str:
    columns = [each.name for each in table.columns]
    if name in columns:
        return name
    by_field = {field.name: column for field, column in schema_columns(scene.declared, scene.crm_object)}
    if name in by_field:
        return by_field[name]
    if name in {f"{table.metadata_prefix}{each}" for each in METADATA}:
        raise ConfigurationError(f"{name} is no value of the record: leave the column out, and the row is explained.")
    raise ConfigurationError(f"The table {table.name} has no column {name}. It has: {', '.join(columns)}.")


@dataclass
class _Telling:
    """One explanation while it is being made."""

    scene: Scene
    table: Table
    found: Found
    id: str
    column: str | None
    live: bool
    conversations: ExitStack
    notices: list[str] = field(default_factory=list)
    _asking: Asking | None = None
    _refused: bool = False
    _answered: FromVendor | None = None

    def explanation(self) -> Explanation:
        scene, row = self.scene, self.found.row
        there = row is not None and not row.removed
        raw = None if row is None else row.values.get(RAW)
        text = None if raw is None else _encode(raw)
        if self.live or (self.column is not None and text is None) or not there:
            self.from_vendor()
        answer = Explanation(
            sync=scene.sync.name,
            object=scene.declared.object,
            provider=scene.provider.name,
            customer_id=scene.customer_id,
            table=self.table.name,
            id=self.id,
            column=self.column,
            type=None if self.column is None else self._type(),
            row=row_state(scene, self.found, self.id, text, self),
            written=None if row is None else _written(scene, row),
            mapping=_version(scene.versions[0] if scene.versions else None),
            written_with=None if row is None else _version(_version_at(scene, row.emitted_at)),
        )
        if self.column is not None:
            answer = self._with_cell(answer, self.column, text)
        return replace(answer, notices=tuple(self.notices))

    def _with_cell(self, answer: Explanation, column: str, text: bytes | None) -> Explanation:
        row, from_vendor = self.found.row, self._answered
        source = STORED if text is not None else VENDOR if from_vendor is not None and from_vendor.text else None
        used = text if text is not None else from_vendor.text if from_vendor is not None else None
        tracer = self._tracer(column, self._mapping())
        trace = self._trace(tracer, used, column)
        changes: dict[str, Any] = {"source": source}
        personal = tracer is not None and tracer.is_personal(column)
        if row is not None and not row.removed:
            shown = column in row.values and column != RAW
            changes["stored"] = row.values.get(column) if shown else None
            changes["misfit"] = _misfit(row, column, personal=personal)
        if tracer is not None and trace is not None:
            rules = trace.rules
            changes["rules"] = tuple(ExplainedRule(by=self._by(tracer, rule), rule=rule) for rule in rules)
            changes["problem"] = trace.problem
            changes["made"] = None if column == RAW else trace.value
            if row is not None and not row.removed:
                changes["agreement"] = agreement(self.scene, self.found, column, tracer, trace, source or "")
        if self.live and from_vendor is not None:
            changes["live"] = self._live(tracer, column, from_vendor)
        return replace(answer, **changes)

    def _live(self, tracer: Tracer | None, column: str, from_vendor: FromVendor) -> Live:
        trace = self._trace(tracer, from_vendor.text, column)
        values = tuple(value for rule in trace.rules for value in rule.sources) if trace is not None else ()
        return Live(
            asked_at=from_vendor.asked_at,
            there=from_vendor.text is not None,
            values=values,
            made=None if trace is None or column == RAW else trace.value,
            problem=None if trace is None else trace.problem,
        )

    def asking(self) -> Asking | None:
        """The vendor, None where it cannot be asked, which is told once."""
        if self._asking is None and not self._refused:
            try:
                self._asking = self.conversations.enter_context(self.scene.asking())
            except SyncError as problem:
                self._cannot_ask(problem)
        return self._asking

    def _cannot_ask(self, problem: SyncError) -> None:
        self._refused = True
        self._asking = None
        self.notices.append(f"{self.scene.provider.title} could not be asked: {problem}")

    def from_vendor(self) -> FromVendor | None:
        """What the vendor says of the record, asked once; None where it cannot be asked."""
        if self._answered is not None or (asking := self.asking()) is None:
            return self._answered
        if not asking.can_find:
            self.notices.append(f"{self.scene.provider.title} cannot be asked for one of these by its id.")
            return None
        try:
            tracer = self.scene.tracer(asking.schema, self._mapping())
            self._answered = FromVendor(datetime.now(UTC), asking.record(self.id, tracer))
        except SyncError as problem:
            self._cannot_ask(problem)
        return self._answered

    def _mapping(self) -> FieldMapping | None:
        return self.scene.versions[0] if self.scene.versions else None

    def _tracer(self, column: str, mapping: FieldMapping | None) -> Tracer | None:
        try:
            if self.scene.remembered is not None:
                tracer = self.scene.tracer(self.scene.remembered, mapping)
                if not tracer.needs_labels(column):
                    return tracer
            asking = self.asking()
            return None if asking is None else self.scene.tracer(asking.schema, mapping)
        except SyncError as problem:
            self.notices.append(str(problem))
            return None

    def _trace(self, tracer: Tracer | None, text: bytes | None, column: str) -> Trace | None:
        if tracer is None or text is None:
            return None
        try:
            return tracer.trace(text, column)
        except (RejectRecord, NotARecord) as problem:
            self.notices.append(f"No row is made of this record: {problem}")
            return None

    def _by(self, tracer: Tracer, rule: TracedRule) -> str:
        if rule.kind != "mapped":
            return rule.kind
        fields = {column: each for each, column in schema_columns(self.scene.declared, self.scene.crm_object)}
        declared = fields.get(rule.name)
        mapping = self._mapping()
        if declared is not None and declared.locked and self.scene.provider.name in declared.sources:
            return "locked"
        if declared is None or (mapping is not None and declared.name in mapping.fields):
            return "customer"
        if self.scene.provider.name in declared.sources:
            return "developer"
        return "same name"

    def _type(self) -> str:
        return next(each.type for each in self.table.columns if each.name == self.column)


def _misfit(row: StoredRow, column: str, *, personal: bool) -> Misfit | None:
    entry: Mapping[str, Any] | None = row.errors.get(column)
    if entry is None:
        return None
    value = entry.get("value")
    return Misfit(
        field=str(entry.get("field") or ""),
        value=None if value is None or personal else str(value),
        reason=str(entry.get("reason") or ""),
    )


def _written(scene: Scene, row: StoredRow) -> WrittenBy:
    runs = scene.project.store.runs.list(
        run_id=row.run_id or "",
        sync=scene.sync.name,
        object=scene.declared.object,
        customer_id=scene.customer_id,
        limit=1,
    )
    if not runs:
        return WrittenBy(run_id=row.run_id, at=row.emitted_at)
    (run,) = runs
    return WrittenBy(
        run_id=run.run_id,
        at=row.emitted_at,
        known=True,
        started_at=run.started_at,
        finished_at=run.finished_at,
        status=run.status,
        full=run.full,
        counts=run.counts,
    )


def _version_at(scene: Scene, moment: datetime | None) -> FieldMapping | None:
    saved = (
        each for each in scene.versions if moment is None or (each.saved_at is not None and each.saved_at <= moment)
    )
    return next(saved, None)


def _version(mapping: FieldMapping | None) -> MappingVersion:
    if mapping is None:
        return MappingVersion(version=0)
    return MappingVersion(version=mapping.version, actor=mapping.actor, saved_at=mapping.saved_at)
