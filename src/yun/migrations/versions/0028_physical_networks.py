"""physical networks beyond the hosts' cards."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0028'
down_revision = '0027'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        'physical_network',
        sa.Column('name', sa.String(length=64), nullable=False),
        sa.Column('host_id', sa.String(length=40), nullable=False),
        sa.Column('bridge', sa.String(length=15), nullable=False),
        sa.Column('interface', sa.String(length=15), nullable=False),
        sa.Column('description', sa.String(length=1000), nullable=False),
        sa.Column('id', sa.String(length=40), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('revision', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_physical_network')),
        sa.UniqueConstraint('name', 'host_id', name=op.f('uq_physical_network_name_host_id')),
    )
    with op.batch_alter_table('physical_network', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_physical_network_name'), ['name'], unique=False)


def downgrade() -> None:
    """Back."""
    op.drop_table('physical_network')
