"""What vendors tell by themselves, until it is applied."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_index("ix_connections_account", "connections", ["provider", "account_id"])
    op.create_table(
        "vendor_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False, comment="The vendor's name of it"),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False, comment="The vendor's own"),
        sa.Column("occurred_at", MOMENT, comment="The vendor's time; null where it does not say"),
        sa.Column("received_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False, comment="As it was sent"),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_at", MOMENT, comment="Not before; null: given up, the poll brings what it told"),
        sa.Column(
            "problem",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="Why it could not be applied the last time",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_vendor_events"),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name="fk_vendor_events_connection_id", ondelete="CASCADE"
        ),
        comment="What vendors told and what is not applied yet",
    )
    op.create_index("ix_vendor_events_next", "vendor_events", ["next_at"])
    op.create_index("ix_vendor_events_connection_id", "vendor_events", ["connection_id", "object", "next_at"])
    op.create_index(
        "ix_vendor_events_received_at", "vendor_events", ["received_at"], postgresql_where=sa.text("next_at IS NULL")
    )
    op.create_table(
        "vendor_event_days",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("day", MOMENT, nullable=False, comment="Its beginning, UTC"),
        sa.Column(
            "unknown",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Of accounts nobody connected",
        ),
        sa.Column(
            "refused",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Deliveries that were not theirs",
        ),
        sa.PrimaryKeyConstraint("provider", "day", name="pk_vendor_event_days"),
        comment="What was dropped of what vendors, or others in their name, sent",
    )
    op.create_index("ix_vendor_event_days_day", "vendor_event_days", ["day"])


def downgrade() -> None:
    op.drop_table("vendor_event_days")
    op.drop_table("vendor_events")
    op.drop_index("ix_connections_account", "connections")
