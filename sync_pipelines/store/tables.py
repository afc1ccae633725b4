"""The store's tables. Migrations make them; a test keeps both equal."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

Moment = DateTime(timezone=True)

connections = Table(
    "connections",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("status_reason", Text, nullable=False, server_default=""),
    Column("account_id", Text),
    Column("login_url", Text),
    Column("api_url", Text),
    Column("connected_at", Moment, nullable=False, server_default=func.now()),
    Column("updated_at", Moment, nullable=False, server_default=func.now()),
    UniqueConstraint("customer_id", "provider"),
    CheckConstraint("status IN ('connected', 'expired', 'error')", name="status"),
)

credentials = Table(
    "credentials",
    metadata,
    Column("connection_id", ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    Column("sealed", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("expires_at", Moment),
    Column("stored_at", Moment, nullable=False, server_default=func.now()),
    Index("ix_credentials_key_id", "key_id"),
)

mappings = Table(
    "mappings",
    metadata,
    Column("customer_id", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("fields", JSONB, nullable=False),
    Column("actor", Text, nullable=False),
    Column("saved_at", Moment, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("customer_id", "provider", "object", "version"),
)

IDLE = "status <> 'error' AND created + updated + deleted + rejected + invalid = 0"
"""Runs that changed nothing and did not fail: most of them, kept for a short time."""

runs = Table(
    "runs",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("sync", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment, nullable=False),
    Column("status", Text, nullable=False),
    Column("full", Boolean, nullable=False),
    *(
        Column(name, BigInteger, nullable=False)
        for name in ("read", "created", "updated", "unchanged", "deleted", "rejected", "invalid")
    ),
    Column("skipped", BigInteger, nullable=False, server_default="0", comment="Read and left out by a filter"),
    Column("error_type", Text),
    Column("error_message", Text, nullable=False),
    Column("retry_at", Moment),
    Column("notices", JSONB, nullable=False),
    Column("rejections", JSONB, nullable=False),
    Column("vendor_calls", Integer, nullable=False),
    Column("quota", JSONB, nullable=False),
    Column("account_id", Text),
    Column("due_at", Moment, comment="When it was due; null for what nobody had planned"),
    Index("ix_runs_finished_at", "finished_at", "id"),
    Index("ix_runs_work", "sync", "object", "customer_id", "finished_at"),
    Index("ix_runs_customer", "customer_id", "finished_at"),
    Index("ix_runs_run_id", "run_id"),
    Index("ix_runs_failed", "finished_at", postgresql_where=text("status = 'error'")),
    Index("ix_runs_rejecting", "finished_at", "id", postgresql_where=text("rejected > 0")),
    Index("ix_runs_idle", "finished_at", postgresql_where=text(IDLE)),
)

planned = Table(
    "planned",
    metadata,
    Column("sync", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("customers", ARRAY(Text), nullable=False),
    Column("every_seconds", BigInteger),
    Column("cron", Text),
    Column("timezone", Text, nullable=False),
    Column("spread_seconds", BigInteger, comment="How far customers are spread; null means by the schedule's length"),
    Column("own_schedules", JSONB, nullable=False, server_default="{}", comment="By customer, where it is another"),
    Column("fingerprint", Text, nullable=False, server_default="", comment="Changes with what the sync is made of"),
    comment="Syncs as they were last planned",
)

sync_states = Table(
    "sync_states",
    metadata,
    Column("sync", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("actor", Text, nullable=False),
    Column("since", Moment, nullable=False, server_default=func.now()),
    CheckConstraint("state IN ('created', 'active', 'paused', 'archived')", name="state"),
    comment="What people decided about a sync; error is what its connections make of it",
)

due = Table(
    "due",
    metadata,
    Column("sync", ForeignKey("planned.sync", ondelete="CASCADE"), nullable=False),
    Column("connection_id", ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("regular_at", Moment, comment="The schedule's next time"),
    Column("scheduled_at", Moment, comment="The same with this customer's jitter"),
    Column("asked_at", Moment, comment="Somebody asked for a run"),
    Column("asked_objects", ARRAY(Text), comment="Only these; null means all"),
    Column("asked_full", Boolean, nullable=False, server_default=text("false")),
    Column("retry_at", Moment, comment="When to try again what failed"),
    Column("retry_objects", ARRAY(Text)),
    Column("retry_full", Boolean, nullable=False, server_default=text("false")),
    Column("attempts", Integer, nullable=False, server_default=text("0"), comment="Failures in a row"),
    Column("failing_since", Moment, comment="The first of these failures"),
    Column("error_since", Moment, comment="In the error state: looked at rarely until something mends it"),
    Column("error_type", Text, comment="Of the last failure"),
    Column("error_message", Text, nullable=False, server_default=""),
    Column("paused_at", Moment, comment="This customer's work of the sync waits"),
    Column("cancel_at", Moment, comment="Whoever works on it is asked to stop"),
    Column("claim_id", Uuid),
    Column("claimed_at", Moment),
    Column("claimed_due_at", Moment, comment="Since when what was claimed had been due"),
    Column("heartbeat_at", Moment),
    Column("claimed_objects", ARRAY(Text)),
    Column("claimed_full", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("sync", "connection_id"),
    Index("ix_due_connection_id", "connection_id"),
    Index("ix_due_claim_id", "claim_id", postgresql_where=text("claim_id IS NOT NULL")),
    Index(
        "ix_due_next",
        text("LEAST(scheduled_at, asked_at, retry_at)"),
        postgresql_where=text("claim_id IS NULL"),
    ),
    comment="When each connection of each sync is next",
)

progress = Table(
    "progress",
    metadata,
    Column("sync", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("connection_id", ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    Column("last_attempt_at", Moment, nullable=False),
    Column("last_status", Text, nullable=False),
    Column("last_success_at", Moment),
    Column("last_change_at", Moment, comment="The last time that something was created, updated or deleted"),
    Column("last_error_at", Moment),
    Column("last_error_type", Text),
    Column("last_error_message", Text, nullable=False, server_default=""),
    Column("failures_in_row", Integer, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("successes", BigInteger, nullable=False),
    Column("records", BigInteger, nullable=False, comment="Created, updated and deleted, of all runs"),
    Column("seconds", Double, nullable=False, comment="Of all successful attempts"),
    Column("calls", BigInteger, nullable=False),
    Column("today", Date, nullable=False, comment="The day, UTC, of the counts of today"),
    Column("attempts_today", Integer, nullable=False),
    Column("failures_today", Integer, nullable=False),
    Column("records_today", BigInteger, nullable=False),
    Column("calls_today", Integer, nullable=False),
    PrimaryKeyConstraint("sync", "object", "connection_id"),
    Index("ix_progress_connection_id", "connection_id"),
    comment="Where each object of each connection stands; kept when runs are forgotten",
    postgresql_with={"fillfactor": "70"},
)

budgets = Table(
    "budgets",
    metadata,
    Column("connection_id", ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    Column("used", BigInteger, comment="Calls of the account in the vendor's period, by the vendor's own count"),
    Column("allowed", BigInteger),
    Column("seen_at", Moment, comment="When the vendor said so"),
    Column("held_until", Moment, comment="The vendor, or the reserve, wants nothing of us before"),
    Column("held_reason", Text, nullable=False, server_default=""),
    comment="What the vendor lets a connected account do, shared by all who work on it",
)

budget_points = Table(
    "budget_points",
    metadata,
    Column("connection_id", ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    Column("hour", Moment, nullable=False),
    Column("seen_at", Moment, comment="When the vendor last said so in this hour"),
    Column("used", BigInteger),
    Column("allowed", BigInteger),
    Column("calls", BigInteger, nullable=False, comment="Ours in this hour"),
    PrimaryKeyConstraint("connection_id", "hour"),
    Index("ix_budget_points_hour", "hour"),
    comment="The use of a budget hour by hour, for the forecast",
)

completeness = Table(
    "completeness",
    metadata,
    Column("sync", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("connection_id", ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    Column("checked_at", Moment, nullable=False),
    Column("status", Text, nullable=False),
    Column("source_count", BigInteger),
    Column("destination_count", BigInteger),
    Column("message", Text, nullable=False, server_default=""),
    Column("repair_asked_at", Moment, comment="A full read was asked for because of a gap"),
    PrimaryKeyConstraint("sync", "object", "connection_id"),
    Index("ix_completeness_connection_id", "connection_id"),
    CheckConstraint("status IN ('complete', 'gap', 'unknown')", name="status"),
    comment="The last count of each object at the source and in the destination",
)

schemas = Table(
    "schemas",
    metadata,
    Column("sync", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("connection_id", ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    Column("accepted", JSONB, nullable=False, comment="Field name to the vendor's type"),
    Column("accepted_mark", Text, nullable=False),
    Column("accepted_at", Moment, nullable=False),
    Column("seen", JSONB(none_as_null=True), comment="As the last run met them; null means as accepted"),
    Column("seen_mark", Text, nullable=False),
    Column("seen_at", Moment, nullable=False, comment="Since when they are as last seen"),
    PrimaryKeyConstraint("sync", "object", "connection_id"),
    Index("ix_schemas_connection_id", "connection_id"),
    comment="The fields of each object of each connection",
)

schema_changes = Table(
    "schema_changes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("sync", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("connection_id", ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    Column("at", Moment, nullable=False),
    Column("field", Text, nullable=False),
    Column("before", Text, comment="The vendor's type; null: there was no such field"),
    Column("after", Text, comment="The vendor's type; null: there is no such field"),
    Column("policy", Text, nullable=False, comment="What the sync said about changes at that time"),
    Index("ix_schema_changes_connection_id", "connection_id", "id"),
    Index("ix_schema_changes_at", "at"),
    comment="How the fields changed",
)

configuration_versions = Table(
    "configuration_versions",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("applied_at", Moment, nullable=False, server_default=func.now()),
    Column("actor", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("parts", JSON, nullable=False, comment="What the configuration means, without secrets and defaults"),
    Column("documents", JSON, nullable=False, comment="As they were written, without secrets"),
    Column("writes", JSON, nullable=False, comment="By sync and object, the table that it writes"),
    Column("summary", JSON, nullable=False, comment="What it changed, in sentences"),
    comment="Configurations that were applied; the newest one is in effect",
)

requests = Table(
    "requests",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("asked_at", Moment, nullable=False),
    Column("actor", Text, nullable=False),
    Column("sync", Text, nullable=False),
    Column("customers", ARRAY(Text), comment="Null means all"),
    Column("objects", ARRAY(Text), comment="Null means all"),
    Column("full", Boolean, nullable=False),
    Column("key", Text, comment="Repeating it asks for nothing new"),
    Column("key_mark", Text, comment="Of what was asked with the key"),
    UniqueConstraint("key"),
    Index("ix_requests_sync", "sync", "asked_at"),
    Index("ix_requests_asked_at", "asked_at"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", Moment, nullable=False, server_default=func.now()),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("old", JSONB),
    Column("new", JSONB),
    Index("ix_audit_subject", "subject", "id"),
    Index("ix_audit_at", "at"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("hash", Text, nullable=False, comment="SHA-256 of the token, which nobody keeps"),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("customer_id", Text, comment="All that the token can see; null means everybody"),
    Column("actor", Text, nullable=False),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Column("used_at", Moment, comment="About when it was last used"),
    UniqueConstraint("hash"),
    comment="Who may call the API",
)
