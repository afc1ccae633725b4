"""Syncs that were made by API."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "api_syncs",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False, comment="As it was sent; it holds no secret"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.func.clock_timestamp(), nullable=False),
        sa.Column("saved_at", MOMENT, server_default=sa.func.clock_timestamp(), nullable=False),
        sa.Column("key", sa.Text(), comment="Repeating it makes nothing new"),
        sa.Column("key_mark", sa.Text(), comment="Of what was sent with the key"),
        sa.PrimaryKeyConstraint("name", name="pk_api_syncs"),
        sa.UniqueConstraint("key", name="uq_api_syncs_key"),
        sa.CheckConstraint("direction IN ('inbound', 'outbound')", name=op.f("ck_api_syncs_direction")),
        comment="Syncs that no file declares",
    )


def downgrade() -> None:
    op.drop_table("api_syncs")
