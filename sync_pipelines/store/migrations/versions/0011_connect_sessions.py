"""Links to the connect page, and the browsers that opened them; receipts of erased customers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "connect_sessions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("login_url", sa.Text()),
        sa.Column("return_url", sa.Text()),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.Column(
            "link_hash", sa.Text(), nullable=False, comment="SHA-256 of the link's token; it is opened by one browser"
        ),
        sa.Column("link_ends_at", MOMENT, nullable=False),
        sa.Column("browser_hash", sa.Text(), comment="SHA-256 of the cookie of the browser that opened the link"),
        sa.Column("ends_at", MOMENT, comment="When that browser's session ends"),
        sa.Column(
            "handover_hash", sa.Text(), comment="SHA-256 of what an embedded page hands to the window that logs in"
        ),
        sa.Column("state_hash", sa.Text(), comment="SHA-256 of the state sent to the vendor; null once it came back"),
        sa.Column("attempt_hash", sa.Text(), comment="SHA-256 of the cookie of the window that logs in"),
        sa.Column("attempt_ends_at", MOMENT),
        sa.Column(
            "pending", sa.Text(), comment="Sealed tokens of another account than before, until somebody confirms it"
        ),
        sa.Column("pending_key_id", sa.Text()),
        sa.Column("pending_account", JSONB()),
        sa.PrimaryKeyConstraint("id", name="pk_connect_sessions"),
        sa.UniqueConstraint("link_hash", name="uq_connect_sessions_link_hash"),
        sa.UniqueConstraint("browser_hash", name="uq_connect_sessions_browser_hash"),
        sa.UniqueConstraint("state_hash", name="uq_connect_sessions_state_hash"),
        comment="Links to the connect page and the browsers that opened them",
    )
    op.create_index("ix_connect_sessions_created_at", "connect_sessions", ["created_at"])
    op.create_table(
        "erasures",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("customer_id", sa.Text(), comment="Until everything is gone, Dagster's part too; then null"),
        sa.Column("salt", sa.Text(), nullable=False),
        sa.Column("customer_hash", sa.Text(), nullable=False, comment="SHA-256 of salt and customer id"),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("begun_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.Column("removed", JSONB(), server_default="{}", nullable=False, comment="How many rows, by where they were"),
        sa.Column("finished_at", MOMENT, comment="When nothing was left in destinations and store"),
        sa.Column("digest", sa.Text(), comment="SHA-256 of the receipt"),
        sa.PrimaryKeyConstraint("id", name="pk_erasures"),
        comment="Receipts of erased customers, without what tells who they were",
    )
    op.create_index("ix_erasures_customer_id", "erasures", ["customer_id"])


def downgrade() -> None:
    op.drop_table("erasures")
    op.drop_table("connect_sessions")
