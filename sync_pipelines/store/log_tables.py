"""The table of what runs did to single records."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Identity, Index, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from sync_pipelines.store.tables import Moment, metadata

record_changes = Table(
    "record_changes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", Moment, nullable=False, comment="When the run ended"),
    Column("run_id", Text, nullable=False),
    Column("sync", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("fields", JSONB, nullable=False, comment="By column [before, after]"),
    Column("message", Text, nullable=False),
    CheckConstraint("operation IN ('created', 'updated', 'deleted')", name="operation"),
    Index("ix_record_changes_at", "at", "id"),
    Index("ix_record_changes_customer", "customer_id", "at", "id"),
    Index("ix_record_changes_record", "customer_id", "record", "at"),
    comment="What runs did to single records, where their sync wants it remembered",
)
