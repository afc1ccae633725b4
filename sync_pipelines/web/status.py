"""The first page: connect, or how the connection and its syncs are."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sync_pipelines.connecting import account_of, form_of
from sync_pipelines.covering import syncs_covering
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.errors import SyncError
from sync_pipelines.model.sync import Sync, SyncObject
from sync_pipelines.store.health import ConnectionHealth
from sync_pipelines.web.logging_in import OWN
from sync_pipelines.web.visit import Go, Page, Problem, Visit, said
from sync_pipelines.web.words import in_words, moment

DONE = {
    "connected": "Connected.",
    "mapped": "Saved. The fields are filled anew with the next sync.",
    "works": "The connection works.",
}


@dataclass(frozen=True, kw_only=True)
class ObjectLine:
    """`rows` None: it is not known at the moment. `mappable`: its fields can be chosen."""

    name: str
    rows: int | None
    mappable: bool


@dataclass(frozen=True, kw_only=True)
class SyncLine:
    """One sync as the customer sees it. `state` is a class of the style sheet: good, busy, waiting or bad. `begins`: at
    any moment, if it is not running already."""

    name: str
    state: str
    told: str
    begins: bool
    problem: str
    last_success_at: datetime | None
    objects: tuple[ObjectLine, ...]


def home(visit: Visit) -> Page:
    """What there is to do and to see."""
    session, provider = visit.session, visit.provider
    connection = visit.project.store.connections.find(session.customer_id, session.provider)
    lines = _lines(visit, connection)
    values: dict[str, Any] = {
        "vendor": provider.title,
        "session": session,
        "connection": connection,
        "guard": visit.guard_text(),
        "done": _done(visit, lines),
        "sandbox": (connection.environment if connection else session.environment) == "sandbox",
        "lines": lines,
        "problem": "",
    }
    if connection is not None and connection.status != "connected":
        error = "auth_expired" if connection.status == "expired" else "vendor_error"
        values["problem"] = in_words(error, provider.title, said(visit.site))
    choice = _organisations(visit) if connection is None else ()
    return Page(template="home.html", values=values | _way_in(visit) | {"organisations": choice})


def _done(visit: Visit, lines: list[SyncLine]) -> str:
    wanted = visit.query.get("done", "")
    begins = wanted == "connected" and any(line.begins for line in lines)
    return DONE.get(wanted, "") + (" The sync begins by itself." if begins else "")


def _way_in(visit: Visit) -> dict[str, Any]:
    """How to connect: by a form, by the vendor's login page, or by that in a window of its own."""
    form = form_of(visit.project, visit.session.provider)
    handover = ""
    if visit.embedded and form is None:
        # Login pages refuse frames, and a window beside a frame does not have the frame's cookies.
        handover = visit.project.store.connect_sessions.hand_over(visit.session).reveal()
    return {"form": form, "handover": handover}


@dataclass(frozen=True, kw_only=True)
class Organisation:
    """A kind of organisation that can be connected. `typed`: what stands in the field of its address; None: it needs
    none."""

    value: str
    title: str
    hint: str
    chosen: bool
    typed: str | None = None


def _organisations(visit: Visit) -> list[Organisation]:
    """What there is to choose from, where it makes a difference; what the link says is chosen already."""
    session, provider = visit.session, visit.provider
    logins = {name: hosts.authorize or hosts.login for name, hosts in provider.environments.items()}
    own = provider.auth.own_login
    if own is None and len(set(logins.values())) < 2:
        return []
    usual = visit.project.configuration.providers[provider.name].login_url
    found = [
        Organisation(
            value=name,
            title=name.title(),
            hint=urlsplit(usual or login).netloc,
            chosen=session.login_url is None and session.environment == name,
        )
        for name, login in logins.items()
    ]
    if own is not None:
        typed = session.login_url or ""
        found.append(Organisation(value=OWN, title=own.title, hint=own.hint, chosen=bool(typed), typed=typed))
    return found


def test(visit: Visit) -> Go:
    """One call to the vendor, with what is stored."""
    visit.guard()
    connection = visit.project.store.connections.find(visit.session.customer_id, visit.session.provider)
    if connection is None:
        raise Problem(409, "Nothing is connected", "Connect first.")
    try:
        account_of(visit.project, connection)
    except SyncError as problem:
        raise Problem(
            502, "The connection does not work", in_words(problem.error_type, visit.provider.title, said(visit.site))
        ) from problem
    return Go(url=visit.site.url() + "?done=works")


def _lines(visit: Visit, connection: Connection | None) -> list[SyncLine]:
    syncs = syncs_covering(visit.project, visit.session.customer_id, visit.provider.name)
    still = visit.project.store.lifecycle.standing_still(connection.id) if connection else frozenset()
    return [_line(visit, sync, connection, paused=sync.name in still) for sync in syncs]


def _line(visit: Visit, sync: Sync, connection: Connection | None, *, paused: bool) -> SyncLine:
    customer = visit.session.customer_id
    found = visit.project.store.health.connections(sync.name, customer) if connection else []
    health = found[0] if found else None
    state, told = ("waiting", "Paused") if paused else _state(health, connection)
    problem = ""
    if health is not None and health.error_type and state in ("bad", "waiting"):
        problem = in_words(health.error_type, visit.provider.title, said(visit.site))
    objects = [
        ObjectLine(
            name=each.object,
            rows=_rows(visit, sync, each) if connection else None,
            mappable=each.custom_schema is not None and connection is not None,
        )
        for each in sync.objects_of(customer)
        if not each.object.endswith(".associations")
    ]
    return SyncLine(
        name=sync.name,
        state=state,
        told=told,
        begins=not paused and health is not None and (health.due or health.claimed),
        problem=problem,
        last_success_at=health.last_success_at if health else None,
        objects=tuple(objects),
    )


def _state(health: ConnectionHealth | None, connection: Connection | None) -> tuple[str, str]:
    if connection is None:
        return "waiting", "Not connected"
    if health is None:
        return "waiting", "Not started yet"
    if connection.status == "expired":
        return "bad", "Waits for you to connect again"
    if health.claimed:
        return "busy", "Syncing now"
    if health.health == "error":
        return "bad", "Needs attention"
    if health.failures_in_row or health.error_type:
        return "waiting", "Will be tried again"
    if health.last_success_at is None:
        return _first(health)
    if health.gaps:
        return "waiting", "Some records are missing"
    # Its time has come for longer than it should have to wait, or the account's calls are used up.
    if health.due and health.health == "warning":
        return "waiting", "Waits for its turn"
    return "good", "Up to date"


def _first(health: ConnectionHealth) -> tuple[str, str]:
    """Nothing was ever synced, and nothing has failed."""
    if health.due:
        return "busy", "The first sync is about to begin"
    if health.next_at is not None:
        return "waiting", f"Begins on {moment(health.next_at)}"
    return "waiting", "Not started yet"


def _rows(visit: Visit, sync: Sync, declared: SyncObject) -> int | None:
    project, customer = visit.project, visit.session.customer_id
    try:
        destination = project.destination(sync, customer)
        scope = project.scope_of(sync, declared, customer)
        (stock,) = destination.stocks([scope], project.table(sync.name, declared.object), timedelta())
    except SyncError:
        return None
    return stock.live
