"""Since when nothing of a connection's work got through."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    since = sa.Column("nothing_since", sa.DateTime(timezone=True), comment="None of its objects got through since then")
    op.add_column("due", since)
    op.execute("UPDATE due SET nothing_since = COALESCE(failing_since, error_since) WHERE error_since IS NOT NULL")


def downgrade() -> None:
    op.drop_column("due", "nothing_since")
