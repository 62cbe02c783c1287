"""what guests of a subnet are told: NTP servers, routes, how IPv6 addresses are given out; a network's domain."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    listed = sa.JSON().with_variant(postgresql.JSONB(), 'postgresql')
    with op.batch_alter_table('network', schema=None) as batch_op:
        batch_op.add_column(sa.Column('domain', sa.String(length=253), server_default='', nullable=False))
    with op.batch_alter_table('subnet', schema=None) as batch_op:
        batch_op.add_column(sa.Column('ntp_servers', listed, server_default='[]', nullable=False))
        batch_op.add_column(sa.Column('routes', listed, server_default='[]', nullable=False))
        batch_op.add_column(sa.Column('ipv6_mode', sa.String(length=20), server_default='', nullable=False))


def downgrade() -> None:
    """Back."""
    with op.batch_alter_table('subnet', schema=None) as batch_op:
        for name in ('ipv6_mode', 'routes', 'ntp_servers'):
            batch_op.drop_column(name)
    with op.batch_alter_table('network', schema=None) as batch_op:
        batch_op.drop_column('domain')
