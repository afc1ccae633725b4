"""A plan in sentences: its summary, which also tells what a version of the configuration changed."""

from collections.abc import Iterator
from typing import Final

from sync_pipelines.model.filter import DELETE
from sync_pipelines.plans.plan import (
    BRAKE,
    CHANGED,
    CREATE,
    FIRST_READ,
    FOLLOWING,
    LEAVING,
    LINKS,
    MIRRORING,
    REMAP,
    RENAMED,
    WHEN_ASKED,
    DocumentChange,
    Plan,
    Read,
    Removal,
    TableChange,
)

MOST_FIELDS: Final = 5

_OF_WHICH: Final = {
    MIRRORING: "whose records are gone by then",
    FOLLOWING: "whose records are gone by then",
    LEAVING: "whose records do not fit filter or history",
    LINKS: "that lead to objects which are not asked for any more",
    BRAKE: "which the new delete_brake lets a full read take away",
}
"""Of rows whose number only the accounts can tell: which they are."""


def summary(plan: Plan) -> list[str]:
    """One sentence for each change, without names of customers."""
    return [*changes(plan), *removals(plan)]


def changes(plan: Plan) -> list[str]:
    """All of the summary but what goes."""
    return [*map(_document, plan.documents), *map(_table, plan.tables), *_schedules(plan), *map(_read, plan.reads)]


def removals(plan: Plan) -> list[str]:
    """Where rows go or are marked as deleted: how many."""
    return [_removal(each) for each in plan.removals if each.most]


def _document(change: DocumentChange) -> str:
    text = f"{change.kind} {change.name} is {change.action}"
    if change.action == RENAMED:
        text += f" from {change.was}"
    if change.action in (CHANGED, RENAMED) and change.fields:
        paths = [each.path for each in change.fields]
        rest = f" and {len(paths) - MOST_FIELDS} more" if len(paths) > MOST_FIELDS else ""
        text += f" in {', '.join(paths[:MOST_FIELDS])}{rest}"
    return f"{text} ({change.customers:,} customer(s))" if change.customers else text


def _table(change: TableChange) -> str:
    many = f"{len(change.schemas):,} schemas" if len(change.schemas) > 1 else change.schemas[0] or change.database
    where = f"{change.table} in {change.destination} ({many})"
    later = "" if change.statements else " by the next load"
    if change.problem:
        return f"table {where} cannot be made ready: {change.problem}"
    if change.action == CREATE:
        return f"table {where} is created{later}"
    return f"table {where}: {'; '.join(_columns(change)) or 'its view grows'}{later}"


def _columns(change: TableChange) -> Iterator[str]:
    if change.added:
        yield "added " + ", ".join(f"{name} ({kind})" for name, kind in change.added.items())
    for name, (old, new) in change.retyped.items():
        rewritten = f" ({change.rows:,} rows)" if change.rows else ""
        aside = f", what it held stays as {change.renamed[name]}" if name in change.renamed else rewritten
        yield f"{name} becomes {new} from {old}{aside}"


def _schedules(plan: Plan) -> Iterator[str]:
    for each in plan.schedules:
        yield f"{each.sync} runs {each.new}, before: {each.old} ({each.customers:,} customer(s))"


def _read(read: Read) -> str:
    what = "is read in full"
    if read.kind == FIRST_READ:
        what = "is read for the first time"
    elif read.kind == REMAP:
        parts = [f"has {', '.join(read.columns)} made anew of stored records"] if read.columns else []
        parts += [f"does not fill {', '.join(read.left)} any more"] if read.left else []
        what = " and ".join(parts)
    rows = "" if read.rows is None else f", {read.rows:,} row(s)"
    text = f"{read.sync} {read.object} {what} for {len(read.customers):,} customer(s){rows}"
    if not read.caused:
        return f"{text} (waiting already)"
    return text if read.sure or read.kind == FIRST_READ else f"{text} (at most: the accounts were not asked)"


def _removal(removal: Removal) -> str:
    done = "removed" if removal.fate == DELETE else "marked as deleted"
    those = "those " + " or ".join(_OF_WHICH[why] for why in removal.why)
    whose = f"row(s) of {len(removal.customers):,} customer(s)"
    by = f"a {removal.by} (none comes by itself)" if removal.by == WHEN_ASKED else f"the {removal.by}"
    if MIRRORING in removal.why:
        others = f"of {removal.most - removal.known:,} others {those}"
        text = f"{removal.known:,} {whose} that are marked as deleted are {done} by {by}, and {others}"
    else:
        text = f"at most {removal.most:,} {whose} are {done} by {by}: {those}"
    waiting = "" if removal.caused else " (waiting already)"
    return f"{removal.sync} {removal.object}: {text}{waiting}"
