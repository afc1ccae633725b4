"""Making and moving endpoints: the URL is looked at before it is stored."""

from collections.abc import Sequence
from typing import Any, Protocol
from uuid import UUID

from sync_pipelines.model.secret import Secret
from sync_pipelines.notify.addresses import Terms, check_url
from sync_pipelines.settings import Settings
from sync_pipelines.store import Store
from sync_pipelines.store.endpoints import Endpoint


class HasStore(Protocol):
    """An opened project, as far as telling others needs it."""

    settings: Settings

    @property
    def store(self) -> Store: ...


def subscribe(project: HasStore, url: str, events: Sequence[str], **rest: Any) -> tuple[Endpoint, Secret | None]:
    """As `Endpoints.create`. RefusedAddress for a URL that nothing may be sent to."""
    check_url(url, Terms.of(project.settings))
    return project.store.endpoints.create(url, events, **rest)


def subscribe_once(
    project: HasStore, key: str | None, url: str, events: Sequence[str], **rest: Any
) -> tuple[Endpoint, Secret | None, bool]:
    """As `Endpoints.create_once`. RefusedAddress for a URL that nothing may be sent to."""
    check_url(url, Terms.of(project.settings))
    return project.store.endpoints.create_once(key, url, events, **rest)


def change(project: HasStore, id: UUID, *, url: str | None = None, **rest: Any) -> Endpoint:
    """As `Endpoints.update`. RefusedAddress for a URL that nothing may be sent to."""
    if url is not None:
        check_url(url, Terms.of(project.settings))
    return project.store.endpoints.update(id, url=url, **rest)
