"""Lifecycle, progress, budgets and completeness."""

from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _new_columns()
    _sync_states()
    _progress()
    _budgets()
    _completeness()
    _retention()
    _health()


def downgrade() -> None:
    for view in ("sync_health", "health"):
        op.execute(f"DROP VIEW {view}")
    for table, name in (("runs", "idle"), ("requests", "asked_at"), ("audit", "at")):
        op.drop_index(f"ix_{table}_{name}", table_name=table)
    for table in ("completeness", "budget_points", "budgets", "progress", "sync_states"):
        op.drop_table(table)
    for name in ("claimed_due_at", "cancel_at", "paused_at", "error_message", "error_type", "error_since"):
        op.drop_column("due", name)
    op.drop_column("due", "failing_since")
    for name in ("fingerprint", "own_schedules", "spread_seconds"):
        op.drop_column("planned", name)
    op.drop_column("runs", "due_at")


def _new_columns() -> None:
    op.add_column("runs", _moment("due_at", "When it was due; null for what nobody had planned"))
    op.add_column(
        "planned",
        sa.Column(
            "spread_seconds",
            sa.BigInteger(),
            comment="How far customers are spread; null means by the schedule's length",
        ),
    )
    op.add_column(
        "planned",
        sa.Column(
            "own_schedules", JSONB(), server_default="{}", nullable=False, comment="By customer, where it is another"
        ),
    )
    op.add_column(
        "planned",
        sa.Column(
            "fingerprint", sa.Text(), server_default="", nullable=False, comment="Changes with what the sync is made of"
        ),
    )
    op.add_column("due", _moment("failing_since", "The first of these failures"))
    op.add_column("due", _moment("error_since", "In the error state: looked at rarely until something mends it"))
    op.add_column("due", sa.Column("error_type", sa.Text(), comment="Of the last failure"))
    op.add_column("due", sa.Column("error_message", sa.Text(), server_default="", nullable=False))
    op.add_column("due", _moment("paused_at", "This customer's work of the sync waits"))
    op.add_column("due", _moment("cancel_at", "Whoever works on it is asked to stop"))
    op.add_column("due", _moment("claimed_due_at", "Since when what was claimed had been due"))


def _sync_states() -> None:
    op.create_table(
        "sync_states",
        sa.Column("sync", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("since", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('created', 'active', 'paused', 'archived')", name=op.f("ck_sync_states_state")),
        sa.PrimaryKeyConstraint("sync", name=op.f("pk_sync_states")),
        comment="What people decided about a sync; error is what its connections make of it",
    )


def _progress() -> None:
    op.create_table(
        "progress",
        sa.Column("sync", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        _connection(),
        sa.Column("last_attempt_at", MOMENT, nullable=False),
        sa.Column("last_status", sa.Text(), nullable=False),
        _moment("last_success_at"),
        _moment("last_change_at", "The last time that something was created, updated or deleted"),
        _moment("last_error_at"),
        sa.Column("last_error_type", sa.Text()),
        sa.Column("last_error_message", sa.Text(), server_default="", nullable=False),
        sa.Column("failures_in_row", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("successes", sa.BigInteger(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False, comment="Created, updated and deleted, of all runs"),
        sa.Column("seconds", sa.Double(), nullable=False, comment="Of all successful attempts"),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("today", sa.Date(), nullable=False, comment="The day, UTC, of the counts of today"),
        sa.Column("attempts_today", sa.Integer(), nullable=False),
        sa.Column("failures_today", sa.Integer(), nullable=False),
        sa.Column("records_today", sa.BigInteger(), nullable=False),
        sa.Column("calls_today", sa.Integer(), nullable=False),
        _foreign_key("progress"),
        sa.PrimaryKeyConstraint("sync", "object", "connection_id", name=op.f("pk_progress")),
        comment="Where each object of each connection stands; kept when runs are forgotten",
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index("ix_progress_connection_id", "progress", ["connection_id"])


def _budgets() -> None:
    op.create_table(
        "budgets",
        _connection(),
        sa.Column(
            "used", sa.BigInteger(), comment="Calls of the account in the vendor's period, by the vendor's own count"
        ),
        sa.Column("allowed", sa.BigInteger()),
        _moment("seen_at", "When the vendor said so"),
        _moment("held_until", "The vendor, or the reserve, wants nothing of us before"),
        sa.Column("held_reason", sa.Text(), server_default="", nullable=False),
        _foreign_key("budgets"),
        sa.PrimaryKeyConstraint("connection_id", name=op.f("pk_budgets")),
        comment="What the vendor lets a connected account do, shared by all who work on it",
    )
    op.create_table(
        "budget_points",
        _connection(),
        sa.Column("hour", MOMENT, nullable=False),
        _moment("seen_at", "When the vendor last said so in this hour"),
        sa.Column("used", sa.BigInteger()),
        sa.Column("allowed", sa.BigInteger()),
        sa.Column("calls", sa.BigInteger(), nullable=False, comment="Ours in this hour"),
        _foreign_key("budget_points"),
        sa.PrimaryKeyConstraint("connection_id", "hour", name=op.f("pk_budget_points")),
        comment="The use of a budget hour by hour, for the forecast",
    )


def _completeness() -> None:
    op.create_table(
        "completeness",
        sa.Column("sync", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        _connection(),
        sa.Column("checked_at", MOMENT, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("source_count", sa.BigInteger()),
        sa.Column("destination_count", sa.BigInteger()),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        _moment("repair_asked_at", "A full read was asked for because of a gap"),
        sa.CheckConstraint("status IN ('complete', 'gap', 'unknown')", name=op.f("ck_completeness_status")),
        _foreign_key("completeness"),
        sa.PrimaryKeyConstraint("sync", "object", "connection_id", name=op.f("pk_completeness")),
        comment="The last count of each object at the source and in the destination",
    )
    op.create_index("ix_completeness_connection_id", "completeness", ["connection_id"])


def _retention() -> None:
    """Indexes by which what is old is found."""
    idle = "status <> 'error' AND created + updated + deleted + rejected + invalid = 0"
    op.create_index("ix_runs_idle", "runs", ["finished_at"], postgresql_where=sa.text(idle))
    op.create_index("ix_requests_asked_at", "requests", ["asked_at"])
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_budget_points_hour", "budget_points", ["hour"])


def _health() -> None:
    op.get_bind().exec_driver_sql((Path(__file__).parents[1] / "health.sql").read_text(encoding="utf-8"))


def _moment(name: str, comment: str | None = None) -> sa.Column[datetime]:
    return sa.Column(name, MOMENT, comment=comment)


def _connection() -> sa.Column[int]:
    return sa.Column("connection_id", sa.BigInteger(), nullable=False)


def _foreign_key(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["connection_id"], ["connections.id"], name=op.f(f"fk_{table}_connection_id"), ondelete="CASCADE"
    )
