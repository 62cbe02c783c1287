"""reserved addresses, and since when an address is somebody's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0025'
down_revision = '0024'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    number = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    with op.batch_alter_table('address_reservation', schema=None) as batch_op:
        batch_op.add_column(sa.Column('since', sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        'address_range',
        sa.Column('subnet_id', sa.String(length=40), nullable=False),
        sa.Column('first', number, nullable=False),
        sa.Column('last', number, nullable=False),
        sa.Column('note', sa.String(length=200), nullable=False),
        sa.Column('id', sa.String(length=40), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('revision', number, nullable=False),
        sa.ForeignKeyConstraint(['subnet_id'], ['subnet.id'], name=op.f('fk_address_range_subnet_id_subnet')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_address_range')),
    )
    with op.batch_alter_table('address_range', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_address_range_subnet_id'), ['subnet_id'], unique=False)


def downgrade() -> None:
    """Back."""
    with op.batch_alter_table('address_range', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_address_range_subnet_id'))
    op.drop_table('address_range')
    with op.batch_alter_table('address_reservation', schema=None) as batch_op:
        batch_op.drop_column('since')
