"""Providers and destinations that were made by API."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    now = sa.func.clock_timestamp()
    op.create_table(
        "api_sides",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False, comment="As it was sent, with a mask for each secret"),
        sa.Column("sealed", sa.Text(), comment="Its secrets, by their paths in the document; null where it has none"),
        sa.Column("key_id", sa.Text()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", moment, nullable=False, server_default=now),
        sa.Column("saved_at", moment, nullable=False, server_default=now),
        sa.Column("key", sa.Text(), comment="Repeating it makes nothing new"),
        sa.Column("key_mark", sa.Text(), comment="Of what was sent with the key"),
        sa.PrimaryKeyConstraint("id", name="pk_api_sides"),
        sa.UniqueConstraint("kind", "name", name="uq_api_sides_kind_name"),
        sa.UniqueConstraint("key", name="uq_api_sides_key"),
        sa.CheckConstraint("kind IN ('providers', 'destinations')", name=op.f("ck_api_sides_kind")),
        comment="Providers and destinations that no file declares",
    )
    op.create_index("ix_api_sides_key_id", "api_sides", ["key_id"])


def downgrade() -> None:
    op.drop_table("api_sides")
