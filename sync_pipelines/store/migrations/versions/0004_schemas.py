"""The fields that accounts have, and how they changed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
KEY = ("sync", "object", "connection_id")


def upgrade() -> None:
    op.create_table(
        "schemas",
        *_key(),
        sa.Column("accepted", JSONB(), nullable=False, comment="Field name to the vendor's type"),
        sa.Column("accepted_mark", sa.Text(), nullable=False),
        sa.Column("accepted_at", MOMENT, nullable=False),
        sa.Column("seen", JSONB(), comment="As the last run met them; null means as accepted"),
        sa.Column("seen_mark", sa.Text(), nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False, comment="Since when they are as last seen"),
        sa.PrimaryKeyConstraint(*KEY, name="pk_schemas"),
        _to_connections("schemas"),
        comment="The fields of each object of each connection",
    )
    op.create_index("ix_schemas_connection_id", "schemas", ["connection_id"])
    op.create_table(
        "schema_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        *_key(),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), comment="The vendor's type; null: there was no such field"),
        sa.Column("after", sa.Text(), comment="The vendor's type; null: there is no such field"),
        sa.Column("policy", sa.Text(), nullable=False, comment="What the sync said about changes at that time"),
        sa.PrimaryKeyConstraint("id", name="pk_schema_changes"),
        _to_connections("schema_changes"),
        comment="How the fields changed",
    )
    op.create_index("ix_schema_changes_connection_id", "schema_changes", ["connection_id", "id"])
    op.create_index("ix_schema_changes_at", "schema_changes", ["at"])


def downgrade() -> None:
    op.drop_table("schema_changes")
    op.drop_table("schemas")


def _key() -> tuple[sa.Column[str], sa.Column[str], sa.Column[int]]:
    return (
        sa.Column("sync", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
    )


def _to_connections(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["connection_id"], ["connections.id"], name=f"fk_{table}_connection_id_connections", ondelete="CASCADE"
    )
