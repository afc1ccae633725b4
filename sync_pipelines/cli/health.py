"""How syncs and their connections are."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

import typer
from rich.padding import Padding
from rich.text import Text

from sync_pipelines.cli.printing import console, plain, say, shown

if TYPE_CHECKING:
    from sync_pipelines.store.endpoints import Endpoint
    from sync_pipelines.store.health import ConnectionHealth, State, SyncHealth
    from sync_pipelines.store.vendor_events import EventStanding

SIGNS: Final = {"healthy": "🟢", "warning": "🟡", "error": "🔴", "inactive": "⚪"}
WIDTH: Final = 100
LONGEST_REASON: Final = 300


def register(app: typer.Typer) -> None:
    app.command("health")(health)


def health(
    sync_name: Annotated[str | None, typer.Argument(metavar="[SYNC]", help="Only this sync.")] = None,
    customer: Annotated[str | None, typer.Option("--customer", "-c", help="Only this customer.")] = None,
    status: Annotated[
        str | None, typer.Option(help="Only connections in these: healthy, warning, error, inactive, with commas.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show connections that are healthy too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with every number there is.")] = False,
) -> None:
    """How each sync and its connections are, why, and what to do.

    Exit code 1 when a connection that was asked for is in error, 0 when none is.
    """
    from sync_pipelines.project import opened

    states = _states(status, everything=everything or customer is not None)
    with opened(with_store=True) as project:
        if sync_name is not None:
            project.sync(sync_name)
        syncs = project.store.health.syncs(sync_name)
        connections = project.store.health.connections(sync_name, customer, states)
        overall = sync_name is None and customer is None and status is None
        endpoints = project.store.endpoints.unwell() if overall else ()
        events = project.store.vendor_events.standing() if overall else ()
    if customer is not None or status is not None:
        met = {each.sync for each in connections}
        syncs = [each for each in syncs if each.sync in met]
    if as_json:
        document = {
            "syncs": [asdict(each) for each in syncs],
            "connections": [asdict(each) for each in connections],
            "endpoints": [asdict(each) for each in endpoints],
            "events": [asdict(each) for each in events],
        }
        print(json.dumps(document, indent=2, default=_json))
    else:
        _show(syncs, connections)
        _show_endpoints(endpoints)
        _show_events(events)
    if any(each.health == "error" for each in connections):
        raise typer.Exit(1)


def _states(status: str | None, *, everything: bool) -> Sequence["State"]:
    from sync_pipelines.model.errors import ConfigurationError
    from sync_pipelines.store.health import STATES

    if status is None:
        return STATES if everything else [state for state in STATES if state != "healthy"]
    wanted = {each.strip() for each in status.split(",") if each.strip()}
    if unknown := sorted(wanted - set(STATES)):
        raise ConfigurationError(f"There is no health {', '.join(unknown)}: use {', '.join(STATES)}.")
    return [state for state in STATES if state in wanted]


def _show_endpoints(endpoints: Sequence["Endpoint"]) -> None:
    """Those that are not told of events as they should be."""
    for each in endpoints:
        state = "failing" if each.enabled else "disabled"
        since = f" since {shown(each.failing_since)}" if each.failing_since else ""
        _line(
            0, f"{SIGNS['warning' if each.enabled else 'error']} {each.kind} {each.shown_url}: {state}{since}", "bold"
        )
        if each.disabled_reason:
            _line(3, each.disabled_reason)
        _line(3, f"`sync-pipelines webhook deliveries {each.id}` shows what it answered.")


def _show_events(events: Sequence["EventStanding"]) -> None:
    """Vendors whose events wait, were given up or were not taken."""
    for each in events:
        since = "" if each.oldest_at is None else f" since {shown(each.oldest_at)}"
        told = [f"{each.waiting:,} wait{since}"] if each.waiting else []
        told += [f"{each.given_up:,} were given up: `sync-pipelines incoming failed`"] if each.given_up else []
        told += [f"{each.unknown:,} of accounts nobody connected today"] if each.unknown else []
        told += [f"{each.refused:,} deliveries refused today"] if each.refused else []
        if told:
            sign = SIGNS["warning" if each.given_up or each.put_off else "healthy"]
            _line(0, f"{sign} events of {each.provider}: {', '.join(told)}", "bold")


def _show(syncs: Sequence["SyncHealth"], connections: Sequence["ConnectionHealth"]) -> None:
    if not syncs:
        say("There is nothing to tell: no sync is planned, or nothing matches.")
    for sync in syncs:
        _line(0, f"{SIGNS[sync.health]} {sync.sync} ({sync.provider}): {_sentence(sync.health, sync.reason)}", "bold")
        _line(3, " · ".join(_of_sync(sync)))
        for each in connections:
            if each.sync != sync.sync:
                continue
            _line(3, f"{SIGNS[each.health]} {each.customer_id}: {_sentence(each.health, each.reason)}")
            if each.advice:
                _line(6, f"→ {each.advice}.")
            _line(6, " · ".join(_of_connection(each)), "dim")


def _sentence(state: str, reason: str) -> str:
    text = reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]} ..."
    return f"{state}. {text}{'' if text.endswith('.') else '.'}" if text else f"{state}."


def _of_sync(sync: "SyncHealth") -> list[str]:
    counts = [f"{getattr(sync, state):,} {state}" for state in SIGNS if getattr(sync, state)]
    told = [f"{sync.connections:,} connections" + (f": {', '.join(counts)}" if counts else "")]
    told += _numbers(sync)
    if sync.due:
        told.append(f"{sync.due:,} due")
    return told


def _of_connection(each: "ConnectionHealth") -> list[str]:
    told = _numbers(each)
    if each.api_allowed is not None and each.api_used is not None:
        told[-1] = f"API {each.api_used:,} of {each.api_allowed:,}"
    if each.next_at is not None:
        told.append(f"next {shown(each.next_at)[:16]}")
    return told


def _numbers(each: "SyncHealth | ConnectionHealth") -> list[str]:
    told = [
        f"last success {shown(each.last_success_at)[:16] or 'never'}",
        f"{each.records_today:,} records today, {each.records:,} in all",
        f"{each.failures_today:,} of {each.attempts_today:,} attempts failed today",
    ]
    if each.success_rate is not None:
        told.append(f"{100 * each.success_rate:.1f} % got through")
    if each.average_seconds is not None:
        told.append(f"{each.average_seconds:.1f} s on average")
    if each.api_used_ratio is not None:
        told.append(f"API {100 * each.api_used_ratio:.0f} %")
    return told


def _line(indent: int, text: str, style: str = "") -> None:
    indented = Padding(Text(plain(text), style=style), (0, 0, 0, indent), expand=False)
    console.print(indented, width=min(WIDTH, console.width))


def _json(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON")
