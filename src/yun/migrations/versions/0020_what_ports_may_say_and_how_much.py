"""which further senders may speak through a port, and how much goes through it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0020'
down_revision = '0019'
branch_labels = None
depends_on = None

NUMBERS = ('ingress_kbps', 'egress_kbps', 'ingress_burst_kbit', 'egress_burst_kbit', 'dscp')


def upgrade() -> None:
    """Forward."""
    listed = sa.JSON().with_variant(postgresql.JSONB(), 'postgresql')
    number = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    with op.batch_alter_table('port', schema=None) as batch_op:
        batch_op.add_column(sa.Column('allowed_pairs', listed, server_default='[]', nullable=False))
        for name in NUMBERS:
            batch_op.add_column(sa.Column(name, number, nullable=True))


def downgrade() -> None:
    """Back."""
    with op.batch_alter_table('port', schema=None) as batch_op:
        for name in (*NUMBERS, 'allowed_pairs'):
            batch_op.drop_column(name)
