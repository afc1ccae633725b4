"""Which sync a call means: one that runs here, or one that is only stored."""

from typing import Annotated

from fastapi import Path

from sync_pipelines.api.access import Caller
from sync_pipelines.api.problems import Refused, not_found
from sync_pipelines.api.sync_shapes import LATER
from sync_pipelines.api.words import SyncName
from sync_pipelines.model.sync import Sync
from sync_pipelines.project import Project
from sync_pipelines.store import ApiSync

SyncId = Annotated[SyncName, Path(description="The sync's name", examples=["crm"])]


def running_sync(project: Project, id: str, caller: Caller) -> Sync:
    """A sync that runs here. Refused with 409 for one that is stored and does not."""
    sync = project.configuration.syncs.get(id)
    if sync is not None and covers(sync, caller):
        return sync
    if caller.customer_id is None and stored_sync(project, id) is not None:
        aside = project.configuration.set_aside.get(id)
        raise Refused(409, f"The sync {id} does not run: {aside}" if aside else f"The sync {id} is outbound. {LATER}")
    raise _unknown(project, id, caller)


def seen_sync(project: Project, id: str, caller: Caller) -> str:
    """The name of a sync that the caller may see, whether it runs or not."""
    sync = project.configuration.syncs.get(id)
    if (sync is not None and covers(sync, caller)) or (caller.customer_id is None and stored_sync(project, id)):
        return id
    raise _unknown(project, id, caller)


def stored_sync(project: Project, id: str) -> ApiSync | None:
    """A sync made by API, unless a file has taken its name."""
    return None if id in project.in_files.syncs else project.store.api_syncs.get(id)


def covers(sync: Sync, caller: Caller) -> bool:
    return caller.customer_id is None or sync.covers(caller.customer_id)


def own_customer(caller: Caller, customer_id: str | None) -> str | None:
    """The customer to look for: a bound caller finds nothing of others, and is not told that there is any."""
    if caller.customer_id is not None and customer_id not in (None, caller.customer_id):
        raise not_found(f"There is no customer {customer_id}.")
    return caller.customer_id or customer_id


def _unknown(project: Project, id: str, caller: Caller) -> Refused:
    known = {name for name, each in project.configuration.syncs.items() if covers(each, caller)}
    if caller.customer_id is None:
        known |= {each.name for each in project.store.api_syncs.list()}
    return not_found(f"There is no sync named {id}. Known are: {', '.join(sorted(known)) or 'none'}.")
