"""A repeated call with its idempotency key connects nothing anew."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("connections", sa.Column("key", sa.Text(), comment="Repeating it connects nothing anew"))
    op.add_column("connections", sa.Column("key_mark", sa.Text(), comment="Of what was sent with the key"))
    op.create_unique_constraint("uq_connections_key", "connections", ["key"])


def downgrade() -> None:
    op.drop_constraint("uq_connections_key", "connections")
    op.drop_column("connections", "key_mark")
    op.drop_column("connections", "key")
