"""How many records a run read and left out, because they did not fit the filter or the history."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    comment = "Read and left out by a filter"
    op.add_column("runs", sa.Column("skipped", sa.BigInteger(), nullable=False, server_default="0", comment=comment))


def downgrade() -> None:
    op.drop_column("runs", "skipped")
