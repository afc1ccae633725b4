"""Tokens of the API, and requests that can be told apart from their repetition."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False, comment="SHA-256 of the token, which nobody keeps"),
        sa.Column("scopes", ARRAY(sa.Text()), nullable=False),
        sa.Column("customer_id", sa.Text(), comment="All that the token can see; null means everybody"),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.Column("expires_at", MOMENT),
        sa.Column("revoked_at", MOMENT),
        sa.Column("used_at", MOMENT, comment="About when it was last used"),
        sa.PrimaryKeyConstraint("id", name="pk_api_tokens"),
        sa.UniqueConstraint("hash", name="uq_api_tokens_hash"),
        comment="Who may call the API",
    )
    op.add_column("requests", sa.Column("key", sa.Text(), comment="Repeating it asks for nothing new"))
    op.add_column("requests", sa.Column("key_mark", sa.Text(), comment="Of what was asked with the key"))
    op.create_unique_constraint("uq_requests_key", "requests", ["key"])


def downgrade() -> None:
    op.drop_constraint("uq_requests_key", "requests")
    op.drop_column("requests", "key_mark")
    op.drop_column("requests", "key")
    op.drop_table("api_tokens")
