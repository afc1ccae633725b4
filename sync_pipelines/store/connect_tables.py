"""Tables of the store about customers who come and go: sessions of the connect page, and receipts of erasing."""

from sqlalchemy import BigInteger, Column, Identity, Index, Table, Text, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB

from sync_pipelines.store.tables import Moment, metadata

connect_sessions = Table(
    "connect_sessions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("customer_title", Text, comment="What the product calls the customer to people"),
    Column("provider", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("login_url", Text),
    Column("return_url", Text),
    Column("actor", Text, nullable=False),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("link_hash", Text, nullable=False, comment="SHA-256 of the link's token; it is opened by one browser"),
    Column("link_ends_at", Moment, nullable=False),
    Column("browser_hash", Text, comment="SHA-256 of the cookie of the browser that opened the link"),
    Column("ends_at", Moment, comment="When that browser's session ends"),
    Column("handover_hash", Text, comment="SHA-256 of what an embedded page hands to the window that logs in"),
    Column("state_hash", Text, comment="SHA-256 of the state sent to the vendor; null once it came back"),
    Column("attempt_hash", Text, comment="SHA-256 of the cookie of the window that logs in"),
    Column("attempt_ends_at", Moment),
    Column("pending", Text, comment="Sealed tokens of another account than before, until somebody confirms it"),
    Column("pending_key_id", Text),
    Column("pending_account", JSONB(none_as_null=True)),
    UniqueConstraint("link_hash"),
    UniqueConstraint("browser_hash"),
    UniqueConstraint("state_hash"),
    Index("ix_connect_sessions_created_at", "created_at"),
    comment="Links to the connect page and the browsers that opened them",
)

erasures = Table(
    "erasures",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("customer_id", Text, comment="Until everything is gone, Dagster's part too; then null"),
    Column("salt", Text, nullable=False),
    Column("customer_hash", Text, nullable=False, comment="SHA-256 of salt and customer id"),
    Column("actor", Text, nullable=False),
    Column("begun_at", Moment, nullable=False, server_default=func.now()),
    Column("removed", JSONB, nullable=False, server_default="{}", comment="How many rows, by where they were"),
    Column("access", JSONB, nullable=False, server_default="{}", comment="What became of our access at the vendors"),
    Column("troubles", JSONB, nullable=False, server_default="[]", comment="What a person has to look at"),
    Column("finished_at", Moment, comment="When nothing was left in destinations and store"),
    Column("digest", Text, comment="SHA-256 of the receipt as it was then"),
    Column("final_digest", Text, comment="SHA-256 of the receipt with Dagster's part"),
    Index("ix_erasures_customer_id", "customer_id"),
    comment="Receipts of erased customers, without what tells who they were",
)
