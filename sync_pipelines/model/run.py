"""What one execution did to one connection's object."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sync_pipelines.model.budget import Hold
from sync_pipelines.model.record_log import RecordChange


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Records by outcome. `invalid` counts values (not rows) that did not fit; their rows are written all the same.

    `skipped`: read and left out, because they do not fit the filter or the history.
    """

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    rejected: int = 0
    invalid: int = 0
    skipped: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__})

    @property
    def changed(self) -> int:
        return self.created + self.updated + self.deleted


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """A record that could not be written, with the reason and the beginning of its text."""

    reason: str
    record: str


@dataclass(frozen=True, kw_only=True)
class SyncRun:
    """`status`: success, error, cancelled (somebody stopped it at a checkpoint), or skipped (somebody else holds the
    lease, the connection has expired, or the object is not there). What made room for others is cancelled, or skipped
    where it had not begun, and has a `retry_at`.

    `run_id` is shared by all connections and objects of one execution (Dagster's run id there). Times are ours, UTC.
    """

    run_id: str
    sync: str
    object: str
    provider: str
    customer_id: str
    started_at: datetime
    finished_at: datetime
    status: str
    full: bool = False
    counts: Counts = field(default_factory=Counts)
    error_type: str | None = None
    error_message: str = ""
    retry_at: datetime | None = None
    notices: tuple[str, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    vendor_calls: int = 0
    quota: Mapping[str, int] = field(default_factory=dict)
    account_id: str | None = None
    """The vendor's id of the account, where this run asked for it."""
    due_at: datetime | None = None
    """When this work had been due; None for what nobody had planned."""
    changes: tuple[RecordChange, ...] = ()
    """Single records, where the sync wants them remembered; not read back with the run."""
    hold: Hold | None = None
    """Until when no call of the account is wanted, where this run met such a time or came near the reserve."""

    @property
    def gave_way(self) -> bool:
        """Whether it made room for others, so that it goes on in the next run."""
        return self.status in ("cancelled", "skipped") and self.retry_at is not None
