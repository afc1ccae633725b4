"""A local folder as a Storage."""

import errno
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from sync_pipelines.destinations.s3.storage import Listed, Overtaken, vanished
from sync_pipelines.model.errors import DestinationBusy, DestinationError

PARTIAL = ".partial-"
"""Files begin with it while they are written. No reader's pattern matches them."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


class Folder:
    """See `storage.Storage`. A rename makes each file appear whole; a lock file makes `replace` atomic."""

    def __init__(self, name: str, root: Path) -> None:
        self.where: Hashable = ("folder", str(root.absolute()))
        self._root = root.absolute()
        self._place = f"the destination {name} (folder {self._root})"

    def get(self, key: str) -> tuple[bytes, str] | None:
        with self._told():
            try:
                content = self._path(key).read_bytes()
            except FileNotFoundError:
                return None
            return content, _tag(content)

    def put(self, key: str, content: IO[bytes]) -> None:
        with self._told():
            self._write(self._path(key), content)

    def replace(self, key: str, content: bytes, tag: str | None) -> str:
        path = self._path(key)
        with self._told(), _locked(path.with_name(f"{path.name}.lock")):
            there = self.get(key)
            if (there[1] if there else None) != tag:
                raise Overtaken(key)
            self._write(path, content)
        return _tag(content)

    def move(self, source: str, target: str) -> None:
        with self._told():
            path = self._path(target)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.replace(self._path(source), path)
            except FileNotFoundError:
                if not path.exists():
                    raise vanished(source, target, self._place) from None

    def remove(self, keys: Iterable[str]) -> None:
        with self._told():
            for key in keys:
                self._path(key).unlink(missing_ok=True)

    def purge(self, folder: str, begins: str = "") -> None:
        with self._told():
            top = self._path(folder)
            for inner, _, names in os.walk(top, topdown=False):
                for name in names:
                    if name.startswith(begins):
                        Path(inner, name).unlink(missing_ok=True)
                # An empty folder would still tell by its name that there was such a customer.
                if not any(Path(inner).iterdir()):
                    Path(inner).rmdir()

    def list(self, prefix: str) -> Iterator[Listed]:
        with self._told():
            for folder, _, names in os.walk(self._path(prefix)):
                for name in names:
                    path = Path(folder, name)
                    if name.endswith(".lock") or name.startswith(PARTIAL) or not (found := _seen(path)):
                        continue
                    yield Listed(path.relative_to(self._root).as_posix(), found)

    def ready(self) -> None:
        with self._told():
            self._root.mkdir(parents=True, exist_ok=True)
            probe = self._root / f"{PARTIAL}check-{uuid.uuid4().hex}"
            probe.write_bytes(b"")
            probe.unlink()

    def _path(self, key: str) -> Path:
        return self._root / key

    def _write(self, path: Path, content: IO[bytes] | bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{PARTIAL}{uuid.uuid4().hex}")
        try:
            with partial.open("wb") as file:
                if isinstance(content, bytes):
                    file.write(content)
                else:
                    content.seek(0)
                    shutil.copyfileobj(content, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            reason = problem.strerror or "an error of the file system"
            if problem.errno in _FULL:
                raise DestinationBusy(
                    f"The disk of {self._place} is full: make room there. The sync is tried again by itself.",
                    detail=str(problem),
                ) from problem
            if problem.errno in _FORBIDDEN:
                raise DestinationError(
                    f"{self._place[0].upper()}{self._place[1:]} cannot be written: {reason}. Correct the folder in the "
                    "destination's configuration, or its rights.",
                    detail=str(problem),
                ) from problem
            raise DestinationBusy(
                f"{self._place[0].upper()}{self._place[1:]} has trouble: {reason}. The sync is tried again by itself.",
                detail=str(problem),
            ) from problem


def _tag(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _seen(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Held by one process and thread at a time; let go by the operating system when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
