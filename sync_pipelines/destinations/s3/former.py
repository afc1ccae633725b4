"""A column whose type is another one now: the old column moves aside (see model.former), and all files are made anew.

The manifest alone decides what a column is called, so that moving is one commit: files that are there already are known
to call it otherwise. Then they are written anew under the new names at once, because other readers know only the files.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from sync_pipelines.destinations.s3.compaction import LONG_AGO, Compaction
from sync_pipelines.destinations.s3.layout import is_taken_in
from sync_pipelines.destinations.s3.manifest import FORM, Chain, File, Head, Manifest, new_commit
from sync_pipelines.destinations.s3.storage import Overtaken
from sync_pipelines.model.destination import Table
from sync_pipelines.model.errors import DestinationBusy, DestinationError
from sync_pipelines.model.former import ROW_COLUMNS, former_name

MOST_TRIES: Final = 20


def renames(table: Table, known: Mapping[str, str]) -> dict[str, str]:
    """{column: its new name} for all that have to move at once. DestinationError where one cannot be moved."""
    found: dict[str, str] = {}
    for column in table.columns:
        there = known.get(column.name, column.type)
        if is_taken_in(there, column.type):
            continue
        aside = former_name(column.name, there)
        if column.name in ROW_COLUMNS or aside in known:
            raise DestinationError(
                f"The column {column.name} of {table.name} has the type {there} in the files that are there, but "
                f"{column.type} is to be written, and it cannot be moved aside: give the object another table."
            )
        found[column.name] = aside
        back = former_name(column.name, column.type)
        if known.get(back) == column.type:
            found[back] = column.name
    return found


def made_ready(chain: Chain, table: Table, compaction: Compaction) -> Head | None:
    """The newest manifest, when all columns of the table have their types and no file calls one otherwise.

    None where nothing was ever stored. Usually this reads the manifest and does nothing.
    """
    for _ in range(MOST_TRIES):
        head = chain.read()
        if head is None:
            return None
        before = head.manifest
        moving = renames(table, before.columns)
        if not moving and not any(file.names for file in before.files):
            return head
        try:
            if moving:
                chain.publish(head)
                chain.follow(head, _moved(before, moving, table))
        except Overtaken:
            continue
        compaction.run()
    raise DestinationBusy(f"Others write {table.name} of one customer all the time; the sync is tried again by itself.")


def _moved(before: Manifest, moving: Mapping[str, str], table: Table) -> Manifest:
    version = before.version + 1
    types = {column.name: column.type for column in table.columns if column.name in moving}
    return msgspec.structs.replace(
        before,
        version=version,
        commit=new_commit(),
        written_at=datetime.now(UTC),
        form=FORM,
        staged=None,
        columns={moving.get(name, name): kind for name, kind in before.columns.items()} | types,
        remade={**before.remade, **dict.fromkeys(types, version)},
        replaced=tuple(msgspec.structs.replace(old, since=LONG_AGO) for old in before.replaced),
        files=tuple(_called(file, before.columns, moving) for file in before.files),
    )


def _called(file: File, columns: Mapping[str, str], moving: Mapping[str, str]) -> File:
    """The file with what it calls each column, when these move."""
    own = {now: was for was, now in file.names.items()}
    names = {}
    for now in columns:
        if now not in own and now in file.names:
            continue  # the file does not have it: under its name it has another one
        was, then = own.get(now, now), moving.get(now, now)
        if was != then:
            names[was] = then
    return msgspec.structs.replace(file, names=names)
