"""more addresses of a port."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0016'
down_revision = '0015'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        'port_address',
        sa.Column('subnet_id', sa.String(length=40), nullable=False),
        sa.Column('address', sa.String(length=45), nullable=False),
        sa.Column('port_id', sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(['port_id'], ['port.id'], name=op.f('fk_port_address_port_id_port')),
        sa.ForeignKeyConstraint(['subnet_id'], ['subnet.id'], name=op.f('fk_port_address_subnet_id_subnet')),
        sa.PrimaryKeyConstraint('subnet_id', 'address', name=op.f('pk_port_address')),
    )
    with op.batch_alter_table('port_address', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_port_address_port_id'), ['port_id'], unique=False)


def downgrade() -> None:
    """Back."""
    with op.batch_alter_table('port_address', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_port_address_port_id'))

    op.drop_table('port_address')
