"""What a connect page calls the customer."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    title = sa.Column("customer_title", sa.Text(), comment="What the product calls the customer to people")
    op.add_column("connect_sessions", title)


def downgrade() -> None:
    op.drop_column("connect_sessions", "customer_title")
