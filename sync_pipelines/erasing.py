"""Erasing a customer everywhere: its rows in every destination, all that the store knows of it, with a receipt."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final

from sync_pipelines.config import AnyDestinationConfig, DestinationConfig
from sync_pipelines.config.environment import CUSTOMER_ID
from sync_pipelines.destinations import open_destination
from sync_pipelines.live.applying import APPLYING
from sync_pipelines.model.errors import ConfigurationError, MissingDatabase, Retry
from sync_pipelines.model.naming import refusal_of_customer_id
from sync_pipelines.model.provider import Tokens
from sync_pipelines.project import Project
from sync_pipelines.store.connect_sessions import ConnectSession, ConnectSessions
from sync_pipelines.store.erasing import Erasure
from sync_pipelines.vendor_access import FreshTokens, attempt_of, end_access

PATIENCE: Final = 60.0
"""Seconds. A run looks every few seconds whether it is to stop, and stops at its next checkpoint."""

_LOOK_AGAIN: Final = 0.2
_SETTLING: Final = 10.0
"""Seconds. A run that was stopped lets go of its lease before it has stored its outcome."""


class StillWorking(Retry):
    """A run of the customer goes on; it was asked to stop."""

    error_type = "destination"


class NotErased(Retry):
    """Something came anew while the customer was erased."""

    error_type = "destination"


@contextmanager
def nobody_works(
    project: Project, customer_id: str, provider: str | None = None, *, patience: float = PATIENCE
) -> Iterator[None]:
    """Runs of the customer are stopped, and none begins before the end of the block. StillWorking where one goes on."""
    project.store.erasing.halt(customer_id, provider)
    deadline = time.monotonic() + patience
    with ExitStack() as held:
        for name, told in _work_of(project, customer_id, provider):
            _hold(project, held, name, told, deadline)
        settled = time.monotonic() + min(_SETTLING, patience)
        while project.store.erasing.claimed(customer_id) and time.monotonic() < settled:
            time.sleep(_LOOK_AGAIN)
        yield


def _work_of(project: Project, customer_id: str, provider: str | None) -> Iterator[tuple[tuple[str, ...], str]]:
    """(lease, what it is for) of everything that writes for the customer: runs, and changes that the vendor tells."""
    told: dict[tuple[str, ...], str] = {}
    for sync in project.configuration.syncs.values():
        if provider is None or sync.provider == provider:
            for each in sync.objects:
                what = f"{each.object} of the sync {sync.name}"
                name = (project.settings.application_id, sync.name, customer_id, each.object)
                told |= {name: what, (*name, APPLYING): what}
    yield from told.items()


def _hold(project: Project, held: ExitStack, name: tuple[str, ...], told: str, deadline: float) -> None:
    while True:
        lease = project.store.leases.hold(*name)
        if lease.__enter__():
            held.push(lease)
            return
        lease.__exit__(None, None, None)
        if time.monotonic() > deadline:
            raise StillWorking(
                f"{told[0].upper()}{told[1:]} is still being synced for this customer. It was asked to stop: repeat "
                "this in a minute."
            )
        time.sleep(_LOOK_AGAIN)


def rows_of_customer(
    project: Project,
    customer_id: str,
    provider: str | None = None,
    *,
    remove: bool = False,
    trouble: Callable[[str], None] = lambda message: None,
) -> Iterator[tuple[str, Mapping[str, int]]]:
    """Place by place of the configuration, how many rows the customer has there by table, or had before they went.

    `trouble`: told of a database that is not there. One of the customer's own may never have been made; another one
    may be misspelt, so that the rows are still where it really is.
    """
    for name, config in sorted(project.configuration.destinations.items()):
        for schema in _schemas(project, name, customer_id):
            own = config.in_schema(schema) if schema else config
            destination = open_destination(own, customer_id, project.s3_client)
            try:
                found = destination.of_customer(project.settings.application_id, customer_id, provider, remove=remove)
            except MissingDatabase as problem:
                found = {}
                if isinstance(config, DestinationConfig) and CUSTOMER_ID not in config.database:
                    trouble(
                        f"Nothing was erased in the destination {name}: {problem} If its name in the configuration is "
                        "wrong, correct it and erase once more."
                    )
            finally:
                destination.close()
            yield _place(name, own), found


def _schemas(project: Project, destination: str, customer_id: str) -> list[str | None]:
    """The destination's own schema, and those that syncs have for this customer."""
    own = {
        override.schema
        for sync in project.configuration.syncs.values()
        if sync.destination == destination and (override := sync.overrides.get(customer_id)) and override.schema
    }
    return [None, *sorted(own)]


def _place(name: str, config: AnyDestinationConfig) -> str:
    """As it is configured, so that a customer's own schema does not tell whose it is."""
    inner = config.schema_name if isinstance(config, DestinationConfig) else config.prefix
    return f"{name}/{inner}" if inner else name


def erase(project: Project, customer_id: str, *, actor: str, patience: float = PATIENCE) -> Erasure:
    """Remove everything of a customer from destinations and store; the receipt. Repeating finishes what was broken off.

    ConfigurationError for what is no customer's id, StillWorking where a run does not stop in time.
    """
    if reason := refusal_of_customer_id(customer_id):
        raise ConfigurationError(f"This cannot be a customer's id: {reason}.")
    begun = project.store.erasing.begin(customer_id, actor=actor)
    with nobody_works(project, customer_id, patience=patience):
        _end_access(project, customer_id, begun.id)
        told = partial(project.store.erasing.trouble, begun.id)
        for place, counts in rows_of_customer(project, customer_id, remove=True, trouble=told):
            project.store.erasing.add(begun.id, place, counts)
        project.store.erasing.remove(begun.id, customer_id, declared=project.in_files.syncs.keys(), actor=actor)
    project.together.refresh()
    if left := remains(project, customer_id):
        raise NotErased(f"Something of {customer_id} came anew meanwhile ({', '.join(sorted(left))}): repeat it.")
    return project.store.erasing.finish(begun.id, dagster=None)


class _Unconfirmed(FreshTokens):
    """Tokens of an account that somebody logged in with and has not confirmed yet; opened when they are wanted."""

    def __init__(self, sessions: ConnectSessions, session: ConnectSession) -> None:
        super().__init__()
        self._sessions = sessions
        self._session = session

    def read(self) -> Tokens:
        if self.tokens is None:
            self.tokens = self._sessions.pending_tokens(self._session)
        return super().read()


def _end_access(project: Project, customer_id: str, receipt: int) -> None:
    """At the vendors, before anything is gone; those that ended it are not asked again."""
    store, ended = project.store, project.store.erasing.access_ended
    for session in store.connect_sessions.pending_of(customer_id):
        outcome = end_access(project, attempt_of(session), _Unconfirmed(store.connect_sessions, session))
        ended(receipt, session.provider, outcome.message, ended=outcome.ended, session_id=session.id)
    for connection in store.erasing.with_credentials(customer_id):
        outcome = end_access(project, connection, store.credentials(connection))
        ended(receipt, connection.provider, outcome.message, ended=outcome.ended, connection_id=connection.id)


def remains(project: Project, customer_id: str) -> Mapping[str, Mapping[str, int]]:
    """What destinations and store still hold of a customer, counted: by place and table."""
    found = {place: counts for place, counts in rows_of_customer(project, customer_id) if counts}
    held = project.store.erasing.held(customer_id)
    return {**found, "store": held} if held else found


def left_over(receipt: Erasure) -> list[str]:
    """What erasing does not reach, in sentences: a receipt says so too."""
    dagster = (
        "Dagster's events and partition of the customer: its sensor `retention` removes them at its next look."
        if "dagster" not in receipt.removed
        else "Messages of Dagster's runs that worked for several customers, which Dagster's retention removes."
    )
    return [
        dagster,
        "The customer's id where the data team wrote it in the configuration, and in versions of it that were applied.",
        "The customer's id where somebody made it a part of a name: of a sync, a token, an idempotency key.",
        "Log files of the processes, backups, and copies that others made of the destination.",
    ]
