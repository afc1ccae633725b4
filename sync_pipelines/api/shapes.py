"""What the API answers: the shapes of its nouns."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sync_pipelines.model.connection import Connection
from sync_pipelines.model.sync import Schedule, Sync, SyncObject
from sync_pipelines.store.runs import RecordedRun


class Shape(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ScheduleShape(Shape):
    """When the sync is due; a manual one only when asked."""

    type: Literal["interval", "cron", "manual"]
    interval_minutes: float | None = Field(None, examples=[60])
    cron: str | None = Field(None, examples=["0 3 * * *"])
    timezone: str = "UTC"

    @classmethod
    def of(cls, schedule: Schedule) -> "ScheduleShape":
        if schedule.every is not None:
            minutes = schedule.every.total_seconds() / 60
            return cls(type="interval", interval_minutes=minutes, timezone=schedule.timezone)
        if schedule.cron is not None:
            return cls(type="cron", cron=schedule.cron, timezone=schedule.timezone)
        return cls(type="manual", timezone=schedule.timezone)


class ObjectShape(Shape):
    object: str = Field(examples=["contact"])
    common_schema: bool
    raw_fields: bool
    strategy: str | None
    custom_schema_version: int | None = None

    @classmethod
    def of(cls, declared: SyncObject, sync: Sync) -> "ObjectShape":
        schema = declared.custom_schema
        return cls(
            object=declared.object,
            common_schema=declared.common_schema,
            raw_fields=declared.raw_fields,
            strategy=declared.strategy or sync.strategy,
            custom_schema_version=None if schema is None else schema.version,
        )


class CountsShape(Shape):
    read: int
    created: int
    updated: int
    unchanged: int
    deleted: int
    rejected: int
    invalid: int = Field(description="Values that did not fit their column; their rows were written all the same")


class RejectionShape(Shape):
    reason: str
    record: str


class RunShape(Shape):
    """What one execution did to one object of one customer. `execution_id` is shared by all that ran together."""

    id: str = Field(examples=["8123"])
    execution_id: str
    sync: str
    object: str
    provider: str
    customer_id: str
    status: str = Field(description="success, error, skipped or cancelled", examples=["success"])
    full: bool
    started_at: datetime
    finished_at: datetime
    duration_seconds: float
    due_at: datetime | None
    counts: CountsShape
    rows_processed: int
    rows_failed: int
    error_type: str | None = Field(examples=["rate_limit"])
    error_message: str
    retry_at: datetime | None
    notices: list[str]
    vendor_calls: int

    @classmethod
    def of(cls, recorded: RecordedRun) -> "RunShape":
        return cls(**run_values(recorded))


class OneRunShape(RunShape):
    """A run with the records that could not be written."""

    rejections: list[RejectionShape]

    @classmethod
    def of(cls, recorded: RecordedRun) -> "OneRunShape":
        rejections = [RejectionShape.model_validate(each) for each in recorded.run.rejections]
        return cls(**run_values(recorded), rejections=rejections)


def run_values(recorded: RecordedRun) -> dict[str, Any]:
    run = recorded.run
    plain = ("sync", "object", "provider", "customer_id", "status", "full", "started_at", "finished_at", "due_at")
    told = ("error_type", "error_message", "retry_at", "vendor_calls")
    return {
        **{name: getattr(run, name) for name in (*plain, *told)},
        "id": str(recorded.id),
        "execution_id": run.run_id,
        "duration_seconds": (run.finished_at - run.started_at).total_seconds(),
        "counts": CountsShape.model_validate(run.counts),
        "rows_processed": run.counts.read,
        "rows_failed": run.counts.rejected,
        "notices": list(run.notices),
    }


class ConnectionShape(Shape):
    """A customer's connected account. Credentials are never shown."""

    customer_id: str = Field(examples=["acme"])
    provider: str = Field(examples=["salesforce"])
    environment: str = Field(examples=["production"])
    status: str = Field(description="connected, expired or error", examples=["connected"])
    status_reason: str
    account_id: str | None

    @classmethod
    def of(cls, connection: Connection) -> "ConnectionShape":
        return cls.model_validate(connection)


class ConnectionHealthShape(Shape):
    """How one connection of a sync is. Days are UTC."""

    sync: str
    customer_id: str
    provider: str
    health: str = Field(description="healthy, warning, error or inactive", examples=["healthy"])
    reason: str
    advice: str
    connection_status: str
    last_attempt_at: datetime | None
    last_success_at: datetime | None
    last_change_at: datetime | None
    next_at: datetime | None
    late_seconds: float
    objects: int
    failing_objects: int
    gaps: int
    stale_objects: int = Field(description="Whose last success is older than their objective of freshness")
    success_rate: float | None
    records: int
    records_today: int
    attempts_today: int
    failures_today: int
    average_seconds: float | None
    calls_today: int
    api_used: int | None
    api_allowed: int | None
    error_type: str | None
    error_message: str


class SyncHealthShape(Shape):
    """How a sync is with all its connections."""

    sync: str
    provider: str
    health: str = Field(examples=["warning"])
    reason: str
    connections: int
    healthy: int
    warning: int
    error: int
    inactive: int
    last_success_at: datetime | None
    late_seconds: float
    failing_objects: int
    gaps: int
    stale_objects: int = Field(description="Whose last success is older than their objective of freshness")
    success_rate: float | None
    records: int
    records_today: int
    attempts_today: int
    failures_today: int
    average_seconds: float | None


class EventStandingShape(Shape):
    """How the events of a vendor stand. `put_off`: of those that wait, tried before. `given_up`: left to the runs.

    `unknown` (events of accounts that nobody has connected) and `refused` (deliveries that were not the vendor's) are
    of today, UTC, and were dropped.
    """

    provider: str = Field(examples=["hubspot"])
    waiting: int
    oldest_at: datetime | None
    put_off: int
    given_up: int
    unknown: int
    refused: int


class RequestShape(Shape):
    """Work that somebody asked for. `waiting` and `running`: for how many customers it has not begun, or not ended."""

    id: int = Field(examples=[17])
    asked_at: datetime
    actor: str
    sync: str
    customers: list[str] | None = Field(description="Null means all")
    objects: list[str] | None = Field(description="Null means all")
    full: bool
    waiting: int = Field(description="Customers for whom it has not begun")
    running: int = Field(description="Customers for whom it is under way")
    paused: int = Field(description="Of those waiting: so many begin when the sync, or they alone, are resumed")
    expired: int = Field(description="Of those waiting: so many begin when they have connected again")
    status: Literal["waiting", "running", "done"] = Field(description="`waiting` while it has not begun for all")


class AuditShape(Shape):
    """Who changed what."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str = Field(examples=["sync crm"])
    old: dict[str, Any] | None
    new: dict[str, Any] | None
    customers: list[str] = Field(description="Whom it is about; empty where it is about nobody in particular")


class SideShape(Shape):
    """A provider or a destination, wherever it was declared."""

    name: str
    origin: Literal["file", "api"] = Field(description="Where it is declared, and where it can be changed")
    file: str | None = Field(None, description="Below the configuration's folder", examples=["providers/hubspot.yaml"])
    problem: str | None = Field(None, description="Why one made by API is not used; null where it is")


class ProviderShape(SideShape):
    name: str = Field(examples=["salesforce"])
    provider_name: str = Field(description="Which vendor", examples=["salesforce"])
    auth_type: str = Field(examples=["oauth2"])
    category: str = Field(examples=["crm"])
    objects: list[str] = Field(description="What can be read there", examples=[["contact", "account"]])


class DestinationShape(SideShape):
    name: str = Field(examples=["warehouse"])
    type: str = Field(examples=["postgres"])


class OfApi(Shape):
    """What else there is to say of one alone."""

    version: int | None = Field(None, description="Of one made by API: how often it was saved")
    document: dict[str, JsonValue] | None = Field(
        None, description="As it was sent, with `***` for each secret; null where a file declares it"
    )


class OneProviderShape(ProviderShape, OfApi):
    """A provider; of one made by API with its document."""


class OneDestinationShape(DestinationShape, OfApi):
    """A destination; of one made by API with its document."""


class CustomerShape(Shape):
    id: str = Field(examples=["acme"])
    connections: list[ConnectionShape]
