"""The store's first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _connections()
    _credentials()
    _mappings()
    _runs()
    _planned()
    _due()
    _requests()
    _audit()


def downgrade() -> None:
    for table in ("audit", "requests", "due", "planned", "runs", "mappings", "credentials", "connections"):
        op.drop_table(table)


def _connections() -> None:
    op.create_table(
        "connections",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("login_url", sa.Text(), nullable=True),
        sa.Column("api_url", sa.Text(), nullable=True),
        sa.Column("connected_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('connected', 'expired', 'error')", name=op.f("ck_connections_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connections")),
        sa.UniqueConstraint("customer_id", "provider", name=op.f("uq_connections_customer_id_provider")),
    )


def _credentials() -> None:
    op.create_table(
        "credentials",
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("stored_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name=op.f("fk_credentials_connection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("connection_id", name=op.f("pk_credentials")),
    )
    op.create_index("ix_credentials_key_id", "credentials", ["key_id"], unique=False)


def _mappings() -> None:
    op.create_table(
        "mappings",
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("fields", JSONB(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("saved_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "provider", "object", "version", name=op.f("pk_mappings")),
    )


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("sync", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("full", sa.Boolean(), nullable=False),
        sa.Column("read", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("unchanged", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=False),
        sa.Column("rejected", sa.BigInteger(), nullable=False),
        sa.Column("invalid", sa.BigInteger(), nullable=False),
        sa.Column("error_type", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=False),
        sa.Column("retry_at", MOMENT, nullable=True),
        sa.Column("notices", JSONB(), nullable=False),
        sa.Column("rejections", JSONB(), nullable=False),
        sa.Column("vendor_calls", sa.Integer(), nullable=False),
        sa.Column("quota", JSONB(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_index("ix_runs_customer", "runs", ["customer_id", "finished_at"], unique=False)
    op.create_index(
        "ix_runs_failed", "runs", ["finished_at"], unique=False, postgresql_where=sa.text("status = 'error'")
    )
    op.create_index("ix_runs_finished_at", "runs", ["finished_at", "id"], unique=False)
    op.create_index("ix_runs_run_id", "runs", ["run_id"], unique=False)
    op.create_index("ix_runs_work", "runs", ["sync", "object", "customer_id", "finished_at"], unique=False)


def _planned() -> None:
    op.create_table(
        "planned",
        sa.Column("sync", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("customers", ARRAY(sa.Text()), nullable=False),
        sa.Column("every_seconds", sa.BigInteger(), nullable=True),
        sa.Column("cron", sa.Text(), nullable=True),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sync", name=op.f("pk_planned")),
        comment="Syncs as they were last planned",
    )


def _due() -> None:
    op.create_table(
        "due",
        sa.Column("sync", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("regular_at", MOMENT, nullable=True, comment="The schedule's next time"),
        sa.Column("scheduled_at", MOMENT, nullable=True, comment="The same with this customer's jitter"),
        sa.Column("asked_at", MOMENT, nullable=True, comment="Somebody asked for a run"),
        sa.Column("asked_objects", ARRAY(sa.Text()), nullable=True, comment="Only these; null means all"),
        sa.Column("asked_full", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("retry_at", MOMENT, nullable=True, comment="When to try again what failed"),
        sa.Column("retry_objects", ARRAY(sa.Text()), nullable=True),
        sa.Column("retry_full", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="Failures in a row"),
        sa.Column("claim_id", sa.Uuid(), nullable=True),
        sa.Column("claimed_at", MOMENT, nullable=True),
        sa.Column("heartbeat_at", MOMENT, nullable=True),
        sa.Column("claimed_objects", ARRAY(sa.Text()), nullable=True),
        sa.Column("claimed_full", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name=op.f("fk_due_connection_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["sync"], ["planned.sync"], name=op.f("fk_due_sync"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sync", "connection_id", name=op.f("pk_due")),
        comment="When each connection of each sync is next",
    )
    op.create_index(
        "ix_due_claim_id", "due", ["claim_id"], unique=False, postgresql_where=sa.text("claim_id IS NOT NULL")
    )
    op.create_index("ix_due_connection_id", "due", ["connection_id"], unique=False)
    op.create_index(
        "ix_due_next",
        "due",
        [sa.literal_column("LEAST(scheduled_at, asked_at, retry_at)")],
        unique=False,
        postgresql_where=sa.text("claim_id IS NULL"),
    )


def _requests() -> None:
    op.create_table(
        "requests",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("sync", sa.Text(), nullable=False),
        sa.Column("customers", ARRAY(sa.Text()), nullable=True, comment="Null means all"),
        sa.Column("objects", ARRAY(sa.Text()), nullable=True, comment="Null means all"),
        sa.Column("full", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requests")),
    )
    op.create_index("ix_requests_sync", "requests", ["sync", "asked_at"], unique=False)


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("old", JSONB(), nullable=True),
        sa.Column("new", JSONB(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_subject", "audit", ["subject", "id"], unique=False)
