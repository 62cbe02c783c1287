"""names of a network beside those of its machines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0026'
down_revision = '0025'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        'dns_record',
        sa.Column('network_id', sa.String(length=40), nullable=False),
        sa.Column('project_id', sa.String(length=40), nullable=True),
        sa.Column('name', sa.String(length=253), nullable=False),
        sa.Column('kind', sa.String(length=4), nullable=False),
        sa.Column('address', sa.String(length=45), nullable=False),
        sa.Column('id', sa.String(length=40), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('revision', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.ForeignKeyConstraint(['network_id'], ['network.id'], name=op.f('fk_dns_record_network_id_network')),
        sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_dns_record_project_id_project')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_dns_record')),
        sa.UniqueConstraint('network_id', 'name', 'address', name=op.f('uq_dns_record_network_id_name_address')),
    )
    with op.batch_alter_table('dns_record', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_dns_record_network_id'), ['network_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_dns_record_project_id'), ['project_id'], unique=False)


def downgrade() -> None:
    """Back."""
    op.drop_table('dns_record')
