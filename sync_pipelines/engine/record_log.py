"""What is to be remembered of single records, and what of it must not be told."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from sync_pipelines.engine.layout import ADDITIONAL_COLUMN, FieldPlan, is_common, root_of
from sync_pipelines.engine.rules import rule_fields
from sync_pipelines.engine.tally import Tally
from sync_pipelines.engine.transforms.compiled import kind_named
from sync_pipelines.model.checkpoint import Checkpoint
from sync_pipelines.model.destination import Landing
from sync_pipelines.model.mapping import FieldRule
from sync_pipelines.model.provider import CrmObject
from sync_pipelines.model.record_log import CHANGES, RecordLog
from sync_pipelines.model.sync import SyncObject

if TYPE_CHECKING:
    from sync_pipelines.engine.inbound import Work


def log_changes(work: "Work", landing: Landing, plan: FieldPlan, known: Checkpoint, tally: Tally) -> None:
    """Gather them from now on, where the sync wants that and a first read is done: that only adds rows, be it
    millions."""
    if work.sync.record_log == CHANGES and known.read_until is not None:
        hidden = hidden_columns(work.declared, work.crm_object, plan)
        tally.log = RecordLog(hidden, values=work.sync.log_values)
        landing.log_changes(tally.log)


def hidden_columns(declared: SyncObject, crm_object: CrmObject, plan: FieldPlan) -> frozenset[str]:
    """Columns that are made of a field which some rule hides by a transform: hashed here, it must not be told there."""
    rules = [(item.column, item.rule) for item in plan.custom if item.rule is not None]
    rules += [(ADDITIONAL_COLUMN.name, rule) for rule in plan.additional.values()]
    personal = {name.casefold() for _, rule in rules if _hides(rule) for name in _fields(rule.sources)}
    if not personal:
        return frozenset()
    hidden = {column for column, rule in rules if _meets(_fields(rule.sources), personal)}
    if is_common(crm_object, declared):
        hidden |= {name for name, rule in crm_object.common.items() if _meets(rule_fields(rule), personal)}
    return frozenset(hidden)


def _hides(rule: FieldRule) -> bool:
    return any(kind_named(step.name).personal for step in rule.transforms)


def _fields(sources: Collection[str]) -> set[str]:
    return {part for name in sources for part in (name, root_of(name))}


def _meets(fields: Collection[str], personal: Collection[str]) -> bool:
    return any(name.casefold() in personal for name in fields)
