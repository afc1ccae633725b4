"""What happened, as a list or as it happens."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sync_pipelines.cli.printing import plain, say, shown

if TYPE_CHECKING:
    from sync_pipelines.store import Store
    from sync_pipelines.store.logs import LogEntry, LogPlace, Wanted

EVERY_SECONDS: Final = 2.0
LATE: Final = timedelta(minutes=1)
"""Entries may become visible so long after their time: a run's when the outcomes of several are stored together."""
AT_ONCE: Final = 500
LONGEST_VALUE: Final = 80


def register(app: typer.Typer) -> None:
    app.command("logs")(logs)


def logs(  # noqa: PLR0913 - each is a filter
    kind: Annotated[
        list[str] | None, typer.Option("--kind", "-k", help="success, error, conflict or audit; may be repeated.")
    ] = None,
    customer: Annotated[str | None, typer.Option("--customer", "-c", help="Only this customer.")] = None,
    sync: Annotated[str | None, typer.Option("--sync", help="Only this sync.")] = None,
    object_name: Annotated[str | None, typer.Option("--object", "-o", help="Only this object.")] = None,
    record: Annotated[str | None, typer.Option("--record", help="Only the record with this id.")] = None,
    operation: Annotated[
        str | None, typer.Option("--operation", help="completed, failed, created, updated, deleted, rejected ...")
    ] = None,
    run: Annotated[str | None, typer.Option("--run", help="Only this run.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Not before this time (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="Before this time (UTC).")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many, newest first.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: an object a line.")] = False,
) -> None:
    """What happened: runs, rejected records, changes of single records (`record_log: changes` of a sync), audit."""
    from sync_pipelines.cli.local import stopped_by_signals
    from sync_pipelines.model.errors import ConfigurationError
    from sync_pipelines.project import opened
    from sync_pipelines.store.logs import KINDS, Wanted

    if wrong := [each for each in kind or () if each not in KINDS]:
        raise ConfigurationError(f"There is no kind of log {wrong[0]}: there are {', '.join(KINDS)}.")
    if follow and until is not None:
        raise typer.BadParameter("--follow and --until do not go together")
    wanted = Wanted(
        kinds=kind or KINDS,
        customer_id=customer,
        sync=sync,
        object=object_name,
        record=record,
        operation=operation,
        run_id=run,
        since=_utc(since),
        until=_utc(until),
    )
    tell = _tell_program if as_json else _tell
    with opened(with_store=True) as project:
        found = project.store.logs.page(wanted, limit=limit)
        for entry in reversed(found) if follow else found:
            tell(entry)
        if not found and not follow and not as_json:
            say("Nothing of that kind is remembered.")
        if follow:
            with stopped_by_signals() as stop:
                for entry in _new_ones(project.store, wanted, found):
                    tell(entry)
                    if stop.is_set():
                        break


def _new_ones(store: "Store", wanted: "Wanted", known: "list[LogEntry]") -> "Iterator[LogEntry]":
    """Entries as they come, oldest first, each once."""
    from dataclasses import replace

    newest = max((entry.place for entry in known), default=None)
    seen: set[LogPlace] | None = None
    while True:
        since = datetime.now(UTC) - LATE - timedelta(seconds=EVERY_SECONDS)
        look = replace(wanted, since=since if wanted.since is None else max(since, wanted.since))
        found, before = [], None
        while page := store.logs.page(look, before=before, limit=AT_ONCE):
            found += page
            before = page[-1].place
        for entry in reversed(found):
            # At the first look there is what was told just now, and what is older than that.
            if (newest is None or entry.place > newest) if seen is None else entry.place not in seen:
                yield entry
        seen = {entry.place for entry in found}
        time.sleep(EVERY_SECONDS)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=moment.tzinfo or UTC)


def _tell_program(entry: "LogEntry") -> None:
    import msgspec

    place = entry.place
    told: dict[str, Any] = {"id": f"{place.source}-{place.id}-{place.part}", "at": entry.at.isoformat()}
    told |= {name: getattr(entry, name) for name in entry.__dataclass_fields__ if name not in ("place", "fields")}
    told["changes"] = [{"field": name, "old": old, "new": new} for name, (old, new) in (entry.fields or {}).items()]
    print(msgspec.json.encode(told).decode(), flush=True)


def _tell(entry: "LogEntry") -> None:
    """One line, and one for each field that changed."""
    about = [part for part in (entry.sync, entry.object, entry.customer_id, entry.record) if part]
    if entry.kind == "audit":
        about = [f"{entry.subject} by {entry.actor}"]
    error = f" ({entry.error_type})" if entry.error_type else ""
    line = f"{shown(entry.at)} {entry.kind:<7} {entry.operation:<9} {' '.join(about)}{error}"
    told = _counted(entry) if entry.counts is not None and not entry.message else entry.message
    if told and entry.kind != "audit":
        line += f": {told}"
    say(line, style="red" if entry.kind == "error" else "")
    for name, (old, new) in (entry.fields or {}).items():
        print(plain(f"    {name}: {_short(old)} -> {_short(new)}"))
    if entry.kind == "audit" and (entry.old or entry.new):
        print(plain(f"    {_short(entry.old)} -> {_short(entry.new)}"))


def _counted(entry: "LogEntry") -> str:
    counts = entry.counts or {}
    return ", ".join(f"{amount:,} {name}" for name, amount in counts.items() if amount) or "nothing changed"


def _short(value: Any) -> str:
    import msgspec

    text = msgspec.json.encode(value).decode()
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
