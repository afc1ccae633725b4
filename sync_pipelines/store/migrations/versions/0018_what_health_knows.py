"""Health goes by each customer's own schedule and objectives, and by the one forecast of an account's calls."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

FOLDER = Path(__file__).parents[1]


def upgrade() -> None:
    op.add_column(
        "planned",
        sa.Column(
            "period_seconds", sa.BigInteger(), comment="The longest time between two runs; null: it runs when asked"
        ),
    )
    op.add_column(
        "planned",
        sa.Column(
            "objectives", JSONB(), nullable=False, server_default="{}", comment="Of freshness, in seconds by object"
        ),
    )
    op.add_column(
        "budgets",
        sa.Column(
            "runs_out_at",
            sa.DateTime(timezone=True),
            comment="When all but the reserve will be used, as it was foretold at seen_at",
        ),
    )
    # The next planning tells that of cron lines too, and the objectives.
    op.execute("UPDATE planned SET period_seconds = every_seconds")
    _views("health_2.sql")


def downgrade() -> None:
    op.execute("DROP VIEW sync_health")
    op.execute("DROP VIEW health")
    op.drop_column("budgets", "runs_out_at")
    op.drop_column("planned", "objectives")
    op.drop_column("planned", "period_seconds")
    _views("health.sql")


def _views(file: str) -> None:
    op.get_bind().exec_driver_sql((FOLDER / file).read_text(encoding="utf-8"))
