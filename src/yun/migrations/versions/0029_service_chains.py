"""service chains and their hops."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0029'
down_revision = '0028'
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:
    """Forward."""
    op.create_table(
        'service_chain',
        sa.Column('project_id', sa.String(length=40), nullable=False),
        sa.Column('router_id', sa.String(length=40), nullable=False),
        sa.Column('subnet_id', sa.String(length=40), nullable=False),
        sa.Column('name', sa.String(length=100), nullable=False),
        sa.Column('description', sa.String(length=1000), nullable=False),
        sa.Column('protocol', sa.String(length=10), nullable=False),
        sa.Column('port_min', NUMBER, nullable=True),
        sa.Column('port_max', NUMBER, nullable=True),
        sa.Column('on_failure', sa.String(length=10), nullable=False),
        sa.Column('state', sa.String(length=20), nullable=False),
        sa.Column('trashed_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('id', sa.String(length=40), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('revision', NUMBER, nullable=False),
        sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_service_chain_project_id_project')),
        sa.ForeignKeyConstraint(['router_id'], ['router.id'], name=op.f('fk_service_chain_router_id_router')),
        sa.ForeignKeyConstraint(['subnet_id'], ['subnet.id'], name=op.f('fk_service_chain_subnet_id_subnet')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_service_chain')),
        sa.UniqueConstraint('project_id', 'name', name=op.f('uq_service_chain_project_id_name')),
    )
    with op.batch_alter_table('service_chain', schema=None) as batch_op:
        for column in ('project_id', 'router_id', 'subnet_id'):
            batch_op.create_index(batch_op.f(f'ix_service_chain_{column}'), [column], unique=False)

    op.create_table(
        'service_chain_hop',
        sa.Column('chain_id', sa.String(length=40), nullable=False),
        sa.Column('position', NUMBER, nullable=False),
        sa.Column('inner_port_id', sa.String(length=40), nullable=False),
        sa.Column('outer_port_id', sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(['chain_id'], ['service_chain.id'], name=op.f('fk_service_chain_hop_chain_id_service_chain')),
        sa.PrimaryKeyConstraint('chain_id', 'position', name=op.f('pk_service_chain_hop')),
    )
    with op.batch_alter_table('service_chain_hop', schema=None) as batch_op:
        for column in ('inner_port_id', 'outer_port_id'):
            batch_op.create_index(batch_op.f(f'ix_service_chain_hop_{column}'), [column], unique=False)


def downgrade() -> None:
    """Back."""
    op.drop_table('service_chain_hop')
    op.drop_table('service_chain')
