"""A plan in sentences: its summary, which also tells what a version of the configuration changed."""

from collections.abc import Iterator
from typing import Final

from sync_pipelines.plans.plan import (
    CHANGED,
    CREATE,
    FIRST_READ,
    REMAP,
    RENAMED,
    DocumentChange,
    Plan,
    Read,
    TableChange,
)

MOST_FIELDS: Final = 5


def summary(plan: Plan) -> list[str]:
    """One sentence for each change, without names of customers."""
    return [*map(_document, plan.documents), *map(_table, plan.tables), *_schedules(plan), *map(_read, plan.reads)]


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
