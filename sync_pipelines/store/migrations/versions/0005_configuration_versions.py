"""Configurations that were applied."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "configuration_versions",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column(
            "parts", sa.JSON(), nullable=False, comment="What the configuration means, without secrets and defaults"
        ),
        sa.Column("documents", sa.JSON(), nullable=False, comment="As they were written, without secrets"),
        sa.Column("writes", sa.JSON(), nullable=False, comment="By sync and object, the table that it writes"),
        sa.Column("summary", sa.JSON(), nullable=False, comment="What it changed, in sentences"),
        sa.PrimaryKeyConstraint("version", name="pk_configuration_versions"),
        comment="Configurations that were applied; the newest one is in effect",
    )


def downgrade() -> None:
    op.drop_table("configuration_versions")
