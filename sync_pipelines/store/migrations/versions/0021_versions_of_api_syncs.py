"""Syncs made by API keep their older documents; those that are there begin with the present one."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_sync_versions",
        sa.Column("sync", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column(
            "document", sa.JSON(), nullable=False, comment="As it was sent, without customers that were erased since"
        ),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column(
            "reason", sa.Text(), nullable=False, server_default="", comment="Why somebody went back to an older one"
        ),
        sa.Column("restored", sa.Integer(), comment="The older version that it was made equal to"),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sync", "version", name="pk_api_sync_versions"),
        sa.ForeignKeyConstraint(["sync"], ["api_syncs.name"], ondelete="CASCADE", name="fk_api_sync_versions_sync"),
        comment="Every document that a sync made by API had, the present one too; they go with the sync",
    )
    op.create_index("ix_api_sync_versions_saved_at", "api_sync_versions", ["saved_at"])
    op.execute(
        "INSERT INTO api_sync_versions (sync, version, document, actor, saved_at) "
        "SELECT name, version, document, actor, saved_at FROM api_syncs"
    )


def downgrade() -> None:
    op.drop_table("api_sync_versions")
