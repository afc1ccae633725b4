"""Addresses for vendors that sign nothing: every connection has its own, which only we can have made."""

import hashlib
import hmac

from sync_pipelines.model.connection import Connection
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.secret import Secret
from sync_pipelines.project import Project


def address_of(project: Project, connection: Connection) -> str:
    """The path's last part for a connection: whoever knows it may tell changes of it."""
    return f"{connection.id}-{_mark(project.settings.key_ring[0], connection)}"


def url_for(project: Project, connection: Connection) -> str:
    """Where the connection's vendor is to send what changes: below `public_url`, where that is set."""
    provider = project.providers.get(connection.provider)
    if provider is None or provider.webhooks is None:
        raise ConfigurationError(f"{connection.provider} tells nothing by itself that we could receive.")
    path = f"/webhooks/{connection.provider}"
    if provider.webhooks.refusal is None:
        path = f"{path}/{address_of(project, connection)}"
    return project.settings.public_url.rstrip("/") + path


def connection_at(project: Project, provider: str, address: str) -> Connection | None:
    """Whose address it is, None where it is nobody's. Addresses made with older keys of the ring work on."""
    number, _, mark = address.partition("-")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        return None
    connection = project.store.connections.by_id(int(number))
    if connection is None or connection.provider != provider:
        return None
    given = mark.encode("utf-8", "replace")
    marks = [_mark(key, connection).encode() for key in project.settings.key_ring]
    return connection if any(hmac.compare_digest(given, each) for each in marks) else None


def _mark(key: Secret, connection: Connection) -> str:
    told = "\0".join(("webhook address", str(connection.id), connection.provider, connection.customer_id))
    return hmac.new(key.reveal().encode(), told.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
