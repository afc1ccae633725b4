"""Everything of one customer among the files: its data files, what only we read, and last the manifest."""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from sync_pipelines.destinations.s3.manifest import Head, head_at
from sync_pipelines.destinations.s3.names import in_path
from sync_pipelines.destinations.s3.storage import Storage

_MANIFESTS = "_manifests/"


def records_of_customer(
    storage: Storage, application_id: str, customer_id: str, provider: str | None, *, remove: bool
) -> Mapping[str, int]:
    """By table, how many records the customer has there, or had before they were removed.

    A place counts while its manifest is there, so that what was ended half-way is found again.
    """
    found: dict[str, int] = {}
    for head in list(_heads(storage, customer_id)):
        place = head.manifest.place
        if place.application_id != application_id or place.customer_id != customer_id:
            continue
        if provider is not None and place.provider != provider:
            continue
        if remove:
            storage.purge(place.rows_folder, place.digest)
            storage.purge(place.own_folder)
            manifest = PurePosixPath(place.manifest)
            storage.purge(f"{manifest.parent}/", manifest.name)
        found[place.table] = found.get(place.table, 0) + head.manifest.records
    return found


def _heads(storage: Storage, customer_id: str) -> Iterator[Head]:
    begins = f"{in_path(customer_id)}-"
    for listed in storage.list(_MANIFESTS):
        name = PurePosixPath(listed.key).name
        if name.startswith(begins) and name.endswith(".json"):
            head = head_at(storage, listed.key)
            if head is not None:
                yield head
