"""The tables of what vendors tell by themselves."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)

from sync_pipelines.store.tables import Moment, metadata

vendor_events = Table(
    "vendor_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("connection_id", ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    Column("object", Text, nullable=False, comment="The vendor's name of it"),
    Column("record_id", Text, nullable=False),
    Column("event_id", Text, nullable=False, comment="The vendor's own"),
    Column("occurred_at", Moment, comment="The vendor's time; null where it does not say"),
    Column("received_at", Moment, nullable=False, server_default=func.now()),
    Column("text", Text, nullable=False, comment="As it was sent"),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("next_at", Moment, comment="Not before; null: given up, the poll brings what it told"),
    Column("problem", Text, nullable=False, server_default="", comment="Why it could not be applied the last time"),
    Index("ix_vendor_events_next", "next_at"),
    Index("ix_vendor_events_connection_id", "connection_id", "object", "next_at"),
    Index("ix_vendor_events_received_at", "received_at", postgresql_where=text("next_at IS NULL")),
    comment="What vendors told and what is not applied yet",
)

vendor_event_days = Table(
    "vendor_event_days",
    metadata,
    Column("provider", Text, nullable=False),
    Column("day", Moment, nullable=False, comment="Its beginning, UTC"),
    Column("unknown", BigInteger, nullable=False, server_default=text("0"), comment="Of accounts nobody connected"),
    Column("refused", BigInteger, nullable=False, server_default=text("0"), comment="Deliveries that were not theirs"),
    PrimaryKeyConstraint("provider", "day"),
    Index("ix_vendor_event_days_day", "day"),
    comment="What was dropped of what vendors, or others in their name, sent",
)
