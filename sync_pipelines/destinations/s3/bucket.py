"""An S3 bucket, or one of a store that speaks the same protocol, as a Storage."""

import io
import threading
import uuid
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from sync_pipelines.destinations.s3.failures import code_of, told_as_ours
from sync_pipelines.destinations.s3.storage import Listed, Overtaken, vanished
from sync_pipelines.model.errors import DestinationError
from sync_pipelines.model.secret import Secret

NOT_THERE: Final = frozenset({"NoSuchKey", "404", "NotFound"})
OVERTAKEN: Final = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict"})
MOST_REMOVED: Final = 1000
"""Keys that one request removes."""

IN_ONE_REQUEST: Final = 8 * 1024 * 1024
"""Larger files are sent in parts."""

_CONFIG: Final = {
    "retries": {"mode": "standard", "total_max_attempts": 5},
    "connect_timeout": 10,
    "read_timeout": 60,
    "max_pool_connections": 32,
    # Stores of others know neither the new checksums nor names of buckets in host names.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}


@dataclass(frozen=True, kw_only=True)
class Address:
    """Which bucket, and who we are there. Without keys: whatever the surroundings give (AWS_PROFILE, a role ...)."""

    name: str
    bucket: str
    region: str | None = None
    endpoint_url: str | None = None
    access_key_id: str | None = None
    secret_access_key: Secret = field(default_factory=lambda: Secret(""))
    session_token: Secret = field(default_factory=lambda: Secret(""))

    def __str__(self) -> str:
        return f"the destination {self.name} (bucket {self.bucket})"


class Clients:
    """One client for each address of a process: making one takes a fifth of a second. Safe for threads."""

    def __init__(self) -> None:
        self._made: dict[Address, Any] = {}
        self._lock = threading.Lock()

    def of(self, address: Address) -> Any:
        with self._lock:
            if address not in self._made:
                self._made[address] = _client(address)
            return self._made[address]


def _client(address: Address) -> Any:
    style = {"s3": {"addressing_style": "path"}} if address.endpoint_url else {}
    session = boto3.session.Session()
    return session.client(
        "s3",
        region_name=address.region or session.region_name or "us-east-1",
        endpoint_url=address.endpoint_url,
        aws_access_key_id=address.access_key_id,
        aws_secret_access_key=address.secret_access_key.reveal() or None,
        aws_session_token=address.session_token.reveal() or None,
        config=Config(**_CONFIG, **style),
    )


clients = Clients()


class Bucket:
    """See `storage.Storage`. `connect`: gives the client; asked at the first use, so that making this costs nothing."""

    def __init__(self, address: Address, prefix: str, connect: Callable[[], Any] | None = None) -> None:
        self.where: Hashable = ("s3", address.endpoint_url, address.bucket, prefix)
        self._address = address
        self._prefix = f"{prefix}/" if prefix else ""
        self._connect = connect or (lambda: clients.of(address))

    def get(self, key: str) -> tuple[bytes, str] | None:
        with told_as_ours(self._address):
            try:
                found = self._s3.get_object(Bucket=self._address.bucket, Key=self._prefix + key)
                return found["Body"].read(), found["ETag"]
            except ClientError as problem:
                if code_of(problem) in NOT_THERE:
                    return None
                raise

    def put(self, key: str, content: IO[bytes]) -> None:
        size = content.seek(0, io.SEEK_END)
        content.seek(0)
        place = {"Bucket": self._address.bucket, "Key": self._prefix + key}
        with told_as_ours(self._address):
            if size <= IN_ONE_REQUEST:
                self._s3.put_object(Body=content.read(), **place)
            else:
                self._s3.upload_fileobj(_Open(content), *place.values())

    def replace(self, key: str, content: bytes, tag: str | None) -> str:
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        with told_as_ours(self._address):
            try:
                answer = self._s3.put_object(
                    Bucket=self._address.bucket, Key=self._prefix + key, Body=content, **condition
                )
            except ClientError as problem:
                # Where a version is to be replaced and the file is gone, the answer is that there is none.
                if code_of(problem) in OVERTAKEN or (tag is not None and code_of(problem) in NOT_THERE):
                    raise Overtaken(key) from problem
                raise
        return str(answer["ETag"])

    def move(self, source: str, target: str) -> None:
        bucket = self._address.bucket
        with told_as_ours(self._address):
            try:
                origin = {"Bucket": bucket, "Key": self._prefix + source}
                self._s3.copy_object(CopySource=origin, Bucket=bucket, Key=self._prefix + target)
            except ClientError as problem:
                if code_of(problem) not in NOT_THERE:
                    raise
                if self.get(target) is None:
                    raise vanished(source, target, str(self._address)) from problem
                return
        self.remove([source])

    def remove(self, keys: Iterable[str]) -> None:
        names = [{"Key": self._prefix + key} for key in keys]
        with told_as_ours(self._address):
            for start in range(0, len(names), MOST_REMOVED):
                part = names[start : start + MOST_REMOVED]
                self._s3.delete_objects(Bucket=self._address.bucket, Delete={"Objects": part, "Quiet": True})

    def purge(self, folder: str, begins: str = "") -> None:
        with told_as_ours(self._address):
            pages = self._s3.get_paginator("list_object_versions").paginate(
                Bucket=self._address.bucket, Prefix=self._prefix + folder
            )
            for page in pages:
                found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
                doomed = [
                    {"Key": entry["Key"], "VersionId": entry["VersionId"]}
                    for entry in found
                    if entry["Key"].rpartition("/")[2].startswith(begins)
                ]
                if doomed:
                    self._delete(doomed)

    def _delete(self, doomed: Sequence[Mapping[str, str]]) -> None:
        """Of one page, which holds at most as many as one call takes."""
        answer = self._s3.delete_objects(Bucket=self._address.bucket, Delete={"Objects": doomed, "Quiet": True})
        if left := answer.get("Errors"):
            raise DestinationError(
                f"{len(left)} files of {self._address} could not be removed ({left[0].get('Code')}): give the right to "
                "delete objects and their versions, and repeat it."
            )

    def list(self, prefix: str) -> Iterator[Listed]:
        with told_as_ours(self._address):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._address.bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield Listed(entry["Key"].removeprefix(self._prefix), entry["LastModified"])

    def ready(self) -> None:
        with told_as_ours(self._address):
            self._s3.head_bucket(Bucket=self._address.bucket)
        probe = f"_check/{uuid.uuid4().hex}"
        tag = self.replace(probe, b"1", None)
        try:
            if self._replaces(probe, None) or self._replaces(probe, '"not the tag"'):
                raise DestinationError(
                    f"The store of {self._address} overwrites files although it is told not to (If-None-Match and "
                    "If-Match): runs side by side could undo each other's work. Use a store that keeps to conditional "
                    "writes, as Amazon S3 does."
                )
            self.replace(probe, b"2", tag)
            self.move(probe, f"{probe}-moved")
            list(self.list("_check/"))
        finally:
            self.remove([probe, f"{probe}-moved"])

    def _replaces(self, key: str, tag: str | None) -> bool:
        try:
            self.replace(key, b"3", tag)
        except Overtaken:
            return False
        return True

    @property
    def _s3(self) -> Any:
        return self._connect()


class _Open(io.RawIOBase):
    """A file that stays open when the client closes it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._file.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()
