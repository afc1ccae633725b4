"""What the destination needs of a place for files. A bucket and a local folder both answer it."""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Protocol

from sync_pipelines.model.errors import DestinationBusy


class Overtaken(Exception):
    """A conditional write found another version than the one it was to replace. Nothing was written."""


class FileGone(DestinationBusy):
    """A file that a manifest names is not there. Nothing is wrong where a newer manifest names it no more."""


@dataclass(frozen=True)
class Listed:
    """A file by its key; `written` is the storage's own clock."""

    key: str
    written: datetime


def vanished(source: str, target: str, place: str) -> FileGone:
    """For a file that is to be moved and is neither here nor there."""
    return FileGone(
        f"{target} of {place} is not there, nor is {source}, from which it was to come. If that lasts, somebody "
        "removed files: move the customer's folder of this table and its manifest away, then everything is read and "
        "written anew."
    )


class Storage(Protocol):
    """Files by key: names with `/` between, relative to the destination's prefix. Every write is all or nothing.

    Safe for threads. Errors leave as DestinationBusy or DestinationError.
    """

    where: Hashable
    """Equal for storages that hold the same files."""

    def get(self, key: str) -> tuple[bytes, str] | None:
        """A file's content and the tag of this version; None where there is none."""
        ...

    def put(self, key: str, content: IO[bytes]) -> None:
        """Write a file, whatever was there. `content` is read from its beginning."""
        ...

    def replace(self, key: str, content: bytes, tag: str | None) -> str:
        """Write a file only if its version is still the one with `tag` (None: there is no such file); its new tag.

        Overtaken where it is another one. Of many that try at once, one gets through.
        """
        ...

    def move(self, source: str, target: str) -> None:
        """Give a file its final name. Nothing happens where `target` is there and `source` is not."""
        ...

    def remove(self, keys: Iterable[str]) -> None:
        """Those that are there no more are no error."""
        ...

    def purge(self, folder: str, begins: str = "") -> None:
        """Remove the files of a folder and of those in it whose own names begin like this, older versions that the
        storage keeps of them too. `folder` ends with `/`."""
        ...

    def list(self, prefix: str) -> Iterator[Listed]:
        """Files whose key begins like this. `prefix` ends with `/`."""
        ...

    def ready(self) -> None:
        """Can files be written here? Raises with what to do if not."""
        ...
