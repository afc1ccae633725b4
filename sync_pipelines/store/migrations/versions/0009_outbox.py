"""Events, the endpoints that want them, and what became of each delivery."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _endpoints()
    _events()
    _deliveries()


def _endpoints() -> None:
    op.create_table(
        "endpoints",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Text(), comment="Whose events it gets; null means everybody's"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("shown_url", sa.Text(), nullable=False, comment="The URL as anybody may see it"),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("events", ARRAY(sa.Text()), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False, comment="URL and signing secrets"),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("former_until", MOMENT, comment="Until when the secret before this one signs too"),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("disabled_reason", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "failures", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="Failed attempts in a row"
        ),
        sa.Column("failing_since", MOMENT, comment="The first of these"),
        sa.Column("held_until", MOMENT, comment="Nothing is sent before"),
        sa.Column("delivered_at", MOMENT, comment="When it last took something"),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_endpoints"),
        sa.CheckConstraint("kind IN ('webhook', 'slack', 'zapier')", name=op.f("ck_endpoints_kind")),
        comment="Where events are sent",
    )
    op.create_index("ix_endpoints_customer_id", "endpoints", ["customer_id"])
    op.create_index("ix_endpoints_key_id", "endpoints", ["key_id"])


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text()),
        sa.Column("provider", sa.Text()),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("subject", JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        comment="What happened, as far as an endpoint wants to know it",
    )
    op.create_index("ix_events_at", "events", ["at"])
    op.create_index("ix_events_customer_id", "events", ["customer_id"])


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Text()),
        sa.Column("status", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("claimed_until", MOMENT, comment="A process is sending it until then"),
        sa.Column(
            "attempts",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Since it was last asked for",
        ),
        sa.Column("ended_at", MOMENT, comment="When it was delivered or given up"),
        sa.Column("log", JSONB(), server_default="[]", nullable=False, comment="The last attempts, oldest first"),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name="fk_deliveries_event_id_events", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["endpoints.id"], name="fk_deliveries_endpoint_id_endpoints", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("event_id", "endpoint_id", name="uq_deliveries_event_id_endpoint_id"),
        sa.CheckConstraint("status IN ('waiting', 'delivered', 'failed')", name=op.f("ck_deliveries_status")),
        comment="Each event for each endpoint",
    )
    op.create_index("ix_deliveries_endpoint_id", "deliveries", ["endpoint_id", "id"])
    op.create_index("ix_deliveries_customer_id", "deliveries", ["customer_id"])
    op.create_index(
        "ix_deliveries_waiting",
        "deliveries",
        ["endpoint_id", "due_at"],
        postgresql_where=sa.text("status = 'waiting'"),
    )


def downgrade() -> None:
    for name in ("deliveries", "events", "endpoints"):
        op.drop_table(name)
