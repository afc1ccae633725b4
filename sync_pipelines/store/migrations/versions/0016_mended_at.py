"""Whether something that may mend a failure was changed while its run was at work."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    comment = "Something that may mend a failure was changed while it was claimed"
    op.add_column("due", sa.Column("mended_at", sa.DateTime(timezone=True), comment=comment))


def downgrade() -> None:
    op.drop_column("due", "mended_at")
