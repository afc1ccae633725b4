"""The store's tables. Migrations make them; a test keeps both equal."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
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
    Column("error_type", Text),
    Column("error_message", Text, nullable=False),
    Column("retry_at", Moment),
    Column("notices", JSONB, nullable=False),
    Column("rejections", JSONB, nullable=False),
    Column("vendor_calls", Integer, nullable=False),
    Column("quota", JSONB, nullable=False),
    Column("account_id", Text),
    Index("ix_runs_finished_at", "finished_at", "id"),
    Index("ix_runs_work", "sync", "object", "customer_id", "finished_at"),
    Index("ix_runs_customer", "customer_id", "finished_at"),
    Index("ix_runs_run_id", "run_id"),
    Index("ix_runs_failed", "finished_at", postgresql_where=text("status = 'error'")),
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
    comment="Syncs as they were last planned",
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
    Column("claim_id", Uuid),
    Column("claimed_at", Moment),
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
    Index("ix_requests_sync", "sync", "asked_at"),
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
)
