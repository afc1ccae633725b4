"""Receipts tell what became of our access at the vendors and what a person has to look at, and keep both digests."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

COLUMNS: tuple[tuple[str, Any, dict[str, Any], str], ...] = (
    ("access", JSONB(), {"server_default": "{}", "nullable": False}, "What became of our access at the vendors"),
    ("troubles", JSONB(), {"server_default": "[]", "nullable": False}, "What a person has to look at"),
    ("final_digest", sa.Text(), {}, "SHA-256 of the receipt with Dagster's part"),
)
FIRST = "SHA-256 of the receipt as it was then"


def upgrade() -> None:
    for name, type_, rest, comment in COLUMNS:
        op.add_column("erasures", sa.Column(name, type_, comment=comment, **rest))
    op.alter_column("erasures", "digest", comment=FIRST, existing_comment="SHA-256 of the receipt")
    # Until now the second digest took the place of the first.
    op.execute("UPDATE erasures SET final_digest = digest, digest = NULL WHERE jsonb_exists(removed, 'dagster')")


def downgrade() -> None:
    op.execute("UPDATE erasures SET digest = COALESCE(final_digest, digest)")
    op.alter_column("erasures", "digest", comment="SHA-256 of the receipt", existing_comment=FIRST)
    for name, *_ in reversed(COLUMNS):
        op.drop_column("erasures", name)
