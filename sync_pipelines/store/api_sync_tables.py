"""Tables of what was made by API: syncs, and their sides."""

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
)

from sync_pipelines.store.tables import Moment, metadata

api_syncs = Table(
    "api_syncs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("direction", Text, nullable=False),
    Column("document", JSON, nullable=False, comment="As it was sent; it holds no secret"),
    Column("version", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_at", Moment, nullable=False, server_default=func.clock_timestamp()),
    Column("saved_at", Moment, nullable=False, server_default=func.clock_timestamp()),
    Column("key", Text, comment="Repeating it makes nothing new"),
    Column("key_mark", Text, comment="Of what was sent with the key"),
    UniqueConstraint("key"),
    CheckConstraint("direction IN ('inbound', 'outbound')", name="direction"),
    comment="Syncs that no file declares",
)

api_sync_versions = Table(
    "api_sync_versions",
    metadata,
    Column("sync", ForeignKey("api_syncs.name", ondelete="CASCADE"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("document", JSON, nullable=False, comment="As it was sent, without customers that were erased since"),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default="", comment="Why somebody went back to an older one"),
    Column("restored", Integer, comment="The older version that it was made equal to"),
    Column("saved_at", Moment, nullable=False),
    PrimaryKeyConstraint("sync", "version"),
    Index("ix_api_sync_versions_saved_at", "saved_at"),
    comment="Every document that a sync made by API had, the present one too; they go with the sync",
)

api_sides = Table(
    "api_sides",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("document", JSON, nullable=False, comment="As it was sent, with a mask for each secret"),
    Column("sealed", Text, comment="Its secrets, by their paths in the document; null where it has none"),
    Column("key_id", Text),
    Column("version", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_at", Moment, nullable=False, server_default=func.clock_timestamp()),
    Column("saved_at", Moment, nullable=False, server_default=func.clock_timestamp()),
    Column("key", Text, comment="Repeating it makes nothing new"),
    Column("key_mark", Text, comment="Of what was sent with the key"),
    UniqueConstraint("kind", "name"),
    UniqueConstraint("key"),
    CheckConstraint("kind IN ('providers', 'destinations')", name="kind"),
    Index("ix_api_sides_key_id", "key_id"),
    comment="Providers and destinations that no file declares",
)
