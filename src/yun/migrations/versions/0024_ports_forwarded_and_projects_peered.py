"""ports of outside addresses that are forwarded, and peerings of two projects' routers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0024'
down_revision = '0023'
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
LIST = sa.JSON().with_variant(postgresql.JSONB(), 'postgresql')


def upgrade() -> None:
    """Forward."""
    op.create_table(
        'port_forwarding',
        sa.Column('project_id', sa.String(length=40), nullable=False),
        sa.Column('floating_ip_id', sa.String(length=40), nullable=True),
        sa.Column('router_id', sa.String(length=40), nullable=True),
        sa.Column('port_id', sa.String(length=40), nullable=False),
        sa.Column('inner_address', sa.String(length=45), nullable=True),
        sa.Column('protocol', sa.String(length=10), nullable=False),
        sa.Column('outside_port', NUMBER, nullable=False),
        sa.Column('outside_port_max', NUMBER, nullable=False),
        sa.Column('inner_port', NUMBER, nullable=False),
        sa.Column('description', sa.String(length=200), nullable=False),
        sa.Column('state', sa.String(length=20), nullable=False),
        sa.Column('trashed_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('id', sa.String(length=40), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('revision', NUMBER, nullable=False),
        sa.ForeignKeyConstraint(['floating_ip_id'], ['floating_ip.id'], name=op.f('fk_port_forwarding_floating_ip_id_floating_ip')),
        sa.ForeignKeyConstraint(['port_id'], ['port.id'], name=op.f('fk_port_forwarding_port_id_port')),
        sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_port_forwarding_project_id_project')),
        sa.ForeignKeyConstraint(['router_id'], ['router.id'], name=op.f('fk_port_forwarding_router_id_router')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_port_forwarding')),
    )
    with op.batch_alter_table('port_forwarding', schema=None) as batch_op:
        for column in ('floating_ip_id', 'port_id', 'project_id', 'router_id'):
            batch_op.create_index(batch_op.f(f'ix_port_forwarding_{column}'), [column], unique=False)

    op.create_table(
        'network_peering',
        sa.Column('project_id', sa.String(length=40), nullable=False),
        sa.Column('peer_project_id', sa.String(length=40), nullable=False),
        sa.Column('router_id', sa.String(length=40), nullable=False),
        sa.Column('peer_router_id', sa.String(length=40), nullable=True),
        sa.Column('name', sa.String(length=100), nullable=False),
        sa.Column('description', sa.String(length=1000), nullable=False),
        sa.Column('ranges', LIST, nullable=False),
        sa.Column('peer_ranges', LIST, nullable=False),
        sa.Column('agreed', sa.Boolean(), nullable=False),
        sa.Column('peer_agreed', sa.Boolean(), nullable=False),
        sa.Column('link', NUMBER, nullable=False),
        sa.Column('state', sa.String(length=20), nullable=False),
        sa.Column('trashed_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('id', sa.String(length=40), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('revision', NUMBER, nullable=False),
        sa.ForeignKeyConstraint(['peer_project_id'], ['project.id'], name=op.f('fk_network_peering_peer_project_id_project')),
        sa.ForeignKeyConstraint(['peer_router_id'], ['router.id'], name=op.f('fk_network_peering_peer_router_id_router')),
        sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_network_peering_project_id_project')),
        sa.ForeignKeyConstraint(['router_id'], ['router.id'], name=op.f('fk_network_peering_router_id_router')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_network_peering')),
        sa.UniqueConstraint('link', name=op.f('uq_network_peering_link')),
        sa.UniqueConstraint('project_id', 'name', name=op.f('uq_network_peering_project_id_name')),
    )
    with op.batch_alter_table('network_peering', schema=None) as batch_op:
        for column in ('peer_project_id', 'peer_router_id', 'project_id', 'router_id'):
            batch_op.create_index(batch_op.f(f'ix_network_peering_{column}'), [column], unique=False)


def downgrade() -> None:
    """Back."""
    op.drop_table('network_peering')
    op.drop_table('port_forwarding')
