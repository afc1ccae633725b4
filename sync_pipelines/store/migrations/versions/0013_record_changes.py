"""What runs did to single records."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "record_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="When the run ended"),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("run_id", "sync", "object", "provider")),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("fields", JSONB(), nullable=False, comment="By column [before, after]"),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_record_changes"),
        sa.CheckConstraint("operation IN ('created', 'updated', 'deleted')", name=op.f("ck_record_changes_operation")),
        comment="What runs did to single records, where their sync wants it remembered",
    )
    op.create_index("ix_record_changes_at", "record_changes", ["at", "id"])
    op.create_index("ix_record_changes_customer", "record_changes", ["customer_id", "at", "id"])
    op.create_index("ix_record_changes_record", "record_changes", ["customer_id", "record", "at"])
    op.create_index("ix_runs_rejecting", "runs", ["finished_at", "id"], postgresql_where=sa.text("rejected > 0"))


def downgrade() -> None:
    op.drop_index("ix_runs_rejecting", "runs")
    op.drop_table("record_changes")
