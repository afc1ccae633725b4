"""The tables of what is told to others: who wants to know, what happened, and what became of telling it."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from sync_pipelines.store.tables import Moment, metadata

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_id", Text, comment="Whose events it gets; null means everybody's"),
    Column("kind", Text, nullable=False),
    Column("shown_url", Text, nullable=False, comment="The URL as anybody may see it"),
    Column("description", Text, nullable=False, server_default=""),
    Column("events", ARRAY(Text), nullable=False),
    Column("sealed", Text, nullable=False, comment="URL and signing secrets"),
    Column("key_id", Text, nullable=False),
    Column("former_until", Moment, comment="Until when the secret before this one signs too"),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("disabled_reason", Text, nullable=False, server_default=""),
    Column("failures", Integer, nullable=False, server_default=text("0"), comment="Failed attempts in a row"),
    Column("failing_since", Moment, comment="The first of these"),
    Column("held_until", Moment, comment="Nothing is sent before"),
    Column("delivered_at", Moment, comment="When it last took something"),
    Column("actor", Text, nullable=False),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("updated_at", Moment, nullable=False, server_default=func.now()),
    CheckConstraint("kind IN ('webhook', 'slack', 'zapier')", name="kind"),
    Index("ix_endpoints_customer_id", "customer_id"),
    Index("ix_endpoints_key_id", "key_id"),
    comment="Where events are sent",
)

events = Table(
    "events",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("type", Text, nullable=False),
    Column("customer_id", Text),
    Column("provider", Text),
    Column("at", Moment, nullable=False),
    Column("subject", JSONB, nullable=False),
    Index("ix_events_at", "at"),
    Index("ix_events_customer_id", "customer_id"),
    comment="What happened, as far as an endpoint wants to know it",
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("event_id", ForeignKey("events.id", ondelete="CASCADE"), nullable=False),
    Column("endpoint_id", ForeignKey("endpoints.id", ondelete="CASCADE"), nullable=False),
    Column("customer_id", Text),
    Column("status", Text, nullable=False, server_default="waiting"),
    Column("due_at", Moment, nullable=False),
    Column("claimed_until", Moment, comment="A process is sending it until then"),
    Column("attempts", Integer, nullable=False, server_default=text("0"), comment="Since it was last asked for"),
    Column("ended_at", Moment, comment="When it was delivered or given up"),
    Column("log", JSONB, nullable=False, server_default="[]", comment="The last attempts, oldest first"),
    UniqueConstraint("event_id", "endpoint_id"),
    CheckConstraint("status IN ('waiting', 'delivered', 'failed')", name="status"),
    Index("ix_deliveries_endpoint_id", "endpoint_id", "id"),
    Index("ix_deliveries_customer_id", "customer_id"),
    Index("ix_deliveries_waiting", "endpoint_id", "due_at", postgresql_where=text("status = 'waiting'")),
    comment="Each event for each endpoint",
)
