"""Whom an entry of the audit is about."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_OF_SUBJECTS = """
UPDATE audit SET customers = ARRAY[split_part(substr(subject, strpos(subject, ' ') + 1), '/', 1)]
WHERE split_part(subject, ' ', 1) IN ('connection', 'mapping', 'schema', 'customer')
"""
_OF_ENDPOINTS_AND_TOKENS = """
UPDATE audit SET customers = ARRAY[coalesce(new ->> 'customer_id', old ->> 'customer_id')]
WHERE split_part(subject, ' ', 1) IN ('endpoint', 'token')
  AND coalesce(new ->> 'customer_id', old ->> 'customer_id') IS NOT NULL
"""
_OF_TOKENS = """
UPDATE audit SET customers = ARRAY[api_tokens.customer_id]
FROM api_tokens
WHERE audit.subject = 'token ' || api_tokens.id AND api_tokens.customer_id IS NOT NULL
"""
_OF_SYNCS = """
UPDATE audit SET customers = ARRAY(
    SELECT DISTINCT named.customer
    FROM (VALUES (old), (new), (old -> 'document'), (new -> 'document')) AS sides (side)
    CROSS JOIN LATERAL (
        SELECT jsonb_array_elements_text(
            CASE WHEN jsonb_typeof(side -> 'customers') = 'array' THEN side -> 'customers' ELSE '[]' END)
        UNION ALL
        SELECT jsonb_object_keys(
            CASE WHEN jsonb_typeof(side -> 'overrides') = 'object' THEN side -> 'overrides' ELSE '{}' END)
    ) AS named (customer)
    ORDER BY named.customer
)
WHERE split_part(subject, ' ', 1) = 'sync'
"""


def upgrade() -> None:
    column: sa.Column[list[str]] = sa.Column(
        "customers",
        ARRAY(sa.Text()),
        nullable=False,
        server_default="{}",
        comment="Whom it is about; empty where it is about nobody in particular",
    )
    op.add_column("audit", column)
    for statement in (_OF_SUBJECTS, _OF_ENDPOINTS_AND_TOKENS, _OF_TOKENS, _OF_SYNCS):
        op.execute(statement)
    op.create_index("ix_audit_customers", "audit", ["customers"], postgresql_using="gin")


def downgrade() -> None:
    op.drop_index("ix_audit_customers", "audit")
    op.drop_column("audit", "customers")
