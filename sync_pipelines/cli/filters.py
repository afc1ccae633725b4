"""Filters and histories for people: what is written, and who applies which condition."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sync_pipelines.cli.printing import say, table

if TYPE_CHECKING:
    from sync_pipelines.engine.mapping import CustomColumn
    from sync_pipelines.model.filter import History
    from sync_pipelines.model.provider import ObjectSchema
    from sync_pipelines.model.sync import Sync, SyncObject
    from sync_pipelines.project import Project


def show_filters(project: "Project") -> None:
    """What every sync selects, where it does not take everything; `check --live` tells who applies it."""
    from sync_pipelines.model.filter import told

    rows: list[tuple[str, ...]] = []
    for sync in project.configuration.syncs.values():
        for item in sync.objects:
            if item.filter is not None or item.history is not None:
                filter = "" if item.filter is None else told(item.filter)
                leaving = "" if item.filter is None else item.leaving
                rows.append((sync.name, item.object, "", filter, leaving, history_told(item.history)))
            for customer, own in sync.overrides.items():
                if item.object in own.filters:
                    theirs = own.filters[item.object]
                    rows.append((sync.name, item.object, customer, "none" if theirs is None else told(theirs), "", ""))
    if rows:
        table("Filters and histories", ("sync", "object", "customer", "filter", "leaving", "history"), rows)


def history_told(history: "History | None") -> str:
    """A history for people; empty for all."""
    from sync_pipelines.model.filter import told

    if history is None:
        return ""
    if history.nothing:
        return "from now on"
    bounds = [f"{word} {bound}" for word, bound in (("from", history.since), ("before", history.until)) if bound]
    period = f"{history.on} {' '.join(bounds)}" if bounds else ""
    return " and ".join(part for part in (period, told(history.where) if history.where else "") if part)


def who_applies(
    project: "Project",
    sync: "Sync",
    customer: str,
    declared: "SyncObject",
    schema: "ObjectSchema",
    custom: "Sequence[CustomColumn]",
) -> list[tuple[str, ...]]:
    """(sync, customer, object, condition, who applies it) for each condition. ConfigurationError as at a run."""
    from sync_pipelines.engine.filtering import resolve
    from sync_pipelines.engine.selecting import shares

    own = sync.object_of(customer, declared)
    if own.filter is None:
        return []
    provider, crm_object = project.provider_of(sync), project.crm_object(sync.name, declared.object)
    where = resolve(own.filter, crm_object, schema, datetime.now(UTC), custom)
    return [
        (sync.name, customer, declared.object, text, f"by {provider.title}" if pushed else "before load")
        for text, pushed in shares(where, provider.pushed(crm_object, where))
    ]


def show_who_applies(found: Sequence[tuple[str, ...]]) -> None:
    """What `who_applies` told of all accounts."""
    if found:
        table("Who applies the filters", ("sync", "customer", "object", "condition", "applied"), found)
        say("Reads of what changed apply them before load, except with `leaving: keep`: so leavers are noticed.")
