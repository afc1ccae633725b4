"""Disconnecting: asked first, then done."""

from sync_pipelines.connecting import disconnect
from sync_pipelines.model.connection import Connection
from sync_pipelines.web.visit import Page, Problem, Visit


def ask(visit: Visit) -> Page:
    """What disconnecting means, and a button."""
    connection = _connection(visit)
    values = {
        "vendor": visit.provider.title,
        "session": visit.session,
        "connection": connection,
        "guard": visit.guard_text(),
    }
    return Page(template="disconnect.html", values=values)


def disconnect_account(visit: Visit) -> Page:
    """Forget the connection, and end its tokens at the vendor if that works."""
    visit.guard()
    told = disconnect(visit.project, _connection(visit), actor=visit.session.by)
    values = {"vendor": visit.provider.title, "told": told, "session": visit.session}
    return Page(template="disconnected.html", values=values)


def _connection(visit: Visit) -> Connection:
    found = visit.project.store.connections.find(visit.session.customer_id, visit.session.provider)
    if found is None:
        raise Problem(409, "Nothing is connected", "There is nothing to disconnect.")
    return found
