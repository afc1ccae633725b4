"""The manifest of one place: which files count, each sync's checkpoint, and how one version follows another."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from sync_pipelines.destinations.s3.names import Place
from sync_pipelines.destinations.s3.storage import FileGone, Overtaken, Storage
from sync_pipelines.model.checkpoint import Checkpoint
from sync_pipelines.model.destination import Scope
from sync_pipelines.model.errors import DestinationError

FORM: Final = 2
"""Of the manifest itself. A newer one is refused, not guessed at. The first one knows no `names` of files."""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A data file. `version`: of the manifest that brought it. `keys`: the file that lists its rows' ids and hashes.

    `gone`: how many of its rows say that a record is gone. `names`: columns that it calls otherwise, {its name: ours}.
    """

    key: str
    keys: str
    version: int
    rows: int
    gone: int
    size: int
    names: Mapping[str, str] = {}


class Replaced(msgspec.Struct, frozen=True, kw_only=True):
    """A data file whose rows are in newer files; it stays until readers that may still use it are done."""

    key: str
    keys: str
    version: int
    since: datetime


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A file of ids that a full read has brought."""

    key: str
    amount: int


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where one sync's object stands. `kept`: the full read under way that `seen` belongs to.

    `amended`: what was amended since the last read began, of which a full read must not miss anything either.
    """

    sync: str
    object: str
    checkpoint: Checkpoint
    kept: str | None = None
    seen: tuple[Seen, ...] = ()
    amended: tuple[Seen, ...] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a place. `commit` names it; `records`: how many are stored, `live`: of them not deleted.

    `staged`: where the newest of `files` lies until it has its final name. None: it had it before this version.
    `remade`: columns that stand in the place of others, with the version that made them. `form`: see FORM; a manifest
    that needs nothing of the newest one stays readable for older releases.
    """

    place: Place
    metadata_prefix: str
    format: str
    form: int = 1
    version: int = 0
    commit: str = ""
    run_id: str = ""
    written_at: datetime | None = None
    columns: Mapping[str, str] = {}
    remade: Mapping[str, int] = {}
    records: int = 0
    live: int = 0
    files: tuple[File, ...] = ()
    replaced: tuple[Replaced, ...] = ()
    staged: str | None = None
    positions: tuple[Position, ...] = ()

    def position(self, scope: Scope) -> Position | None:
        return next((one for one in self.positions if (one.sync, one.object) == (scope.sync, scope.object)), None)

    def with_position(self, position: Position) -> tuple[Position, ...]:
        """All positions, this one in place of its older version."""
        key = (position.sync, position.object)
        return (*(one for one in self.positions if (one.sync, one.object) != key), position)


@dataclass(frozen=True)
class Head:
    """The newest manifest and the storage's tag for it."""

    manifest: Manifest
    tag: str | None = None


class Chain:
    """One place's manifests. Whoever replaces the version that is really there is the next; all others are behind."""

    def __init__(self, storage: Storage, place: Place) -> None:
        self.storage = storage
        self.place = place

    def read(self) -> Head | None:
        """None where nothing was ever stored."""
        return head_at(self.storage, self.place.manifest)

    def follow(self, head: Head, manifest: Manifest) -> Head:
        """Make `manifest` the one after `head`. Overtaken when somebody else has been quicker."""
        content = msgspec.json.encode(manifest)
        try:
            return Head(manifest, self.storage.replace(self.place.manifest, content, head.tag))
        except Overtaken:
            # An answer that was lost on its way makes the client ask again, and then it is our own version it finds.
            found = self.read()
            if found is not None and found.manifest.commit == manifest.commit:
                return found
            raise

    def publish(self, head: Head) -> None:
        """Give the newest data file its final name, where a crash or somebody slow has not done so yet."""
        staged = head.manifest.staged
        if staged is None:
            return
        try:
            self.storage.move(staged, head.manifest.files[-1].key)
        except FileGone:
            # Others may have given it its name, merged it and let it go since.
            if not self._has_moved_on(head):
                raise

    @contextmanager
    def reading(self, head: Head) -> Iterator[None]:
        """For what reads files that `head` names: Overtaken where one is gone because a newer manifest needs it no
        more."""
        try:
            yield
        except FileGone as problem:
            if not self._has_moved_on(head):
                raise
            raise Overtaken(self.place.manifest) from problem

    def _has_moved_on(self, head: Head) -> bool:
        found = self.read()
        return found is None or found.tag != head.tag


class _Form(msgspec.Struct):
    form: int


def head_at(storage: Storage, key: str) -> Head | None:
    """The manifest with this key; None where there is none."""
    found = storage.get(key)
    if found is None:
        return None
    content, tag = found
    try:
        form = msgspec.json.decode(content, type=_Form).form
        if form > FORM:
            raise DestinationError(
                f"{key} was written by a newer release (form {form}, this one knows {FORM}): upgrade this installation."
            )
        return Head(msgspec.json.decode(content, type=Manifest), tag)
    except msgspec.MsgspecError as problem:
        raise DestinationError(
            f"{key} is not a manifest: restore it, or move it and the customer's data files of the table away; then "
            "everything is read and written anew.",
            detail=str(problem),
        ) from problem


def same_format(manifest: Manifest, wanted: str, destination: str) -> None:
    """DestinationError where files are there that are of another format."""
    if manifest.format != wanted:
        raise DestinationError(
            f"The files of {manifest.place.table} are {manifest.format}, and the destination {destination} asks for "
            f"{wanted}: keep the format, or give the destination another prefix."
        )


def new_commit() -> str:
    return uuid.uuid4().hex[:12]
