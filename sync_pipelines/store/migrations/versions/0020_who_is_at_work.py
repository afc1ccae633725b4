"""Of a claim it is known who is at work, so that health tells who waits in it."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

VIEWS = Path(__file__).parents[1] / "health_2.sql"
BEFORE = "WHEN due.heartbeat_at < now() - interval '15 minutes' THEN due.claimed_due_at"
# A run says so at every third of the time for which it may be silent.
AFTER = """WHEN due.worked_at IS NULL OR due.worked_at < now() - interval '5 minutes'
                THEN GREATEST(due.claimed_due_at, due.worked_at)"""


def upgrade() -> None:
    op.add_column(
        "due",
        sa.Column(
            "worked_at",
            sa.DateTime(timezone=True),
            comment="When a run that holds the claim was last at work on this customer",
        ),
    )
    _views(AFTER)


def downgrade() -> None:
    _views(BEFORE)
    op.drop_column("due", "worked_at")


def _views(waiting: str) -> None:
    written = VIEWS.read_text(encoding="utf-8")
    assert BEFORE in written
    op.get_bind().exec_driver_sql(written.replace(BEFORE, waiting))
