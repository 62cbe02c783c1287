"""routers that are made and changed: descriptions, legs in the trash, static routes; names of floating IPs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0023'
down_revision = '0022'
branch_labels = None
depends_on = None

LIVING = sa.text("state = 'active'")


def upgrade() -> None:
    """Forward."""
    op.create_table(
        'router_route',
        sa.Column('router_id', sa.String(length=40), nullable=False),
        sa.Column('destination', sa.String(length=50), nullable=False),
        sa.Column('next_hop', sa.String(length=45), nullable=False),
        sa.Column('id', sa.String(length=40), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('revision', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.ForeignKeyConstraint(['router_id'], ['router.id'], name=op.f('fk_router_route_router_id_router')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_router_route')),
        sa.UniqueConstraint('router_id', 'destination', name=op.f('uq_router_route_router_id_destination')),
    )
    with op.batch_alter_table('router_route', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_router_route_router_id'), ['router_id'], unique=False)

    with op.batch_alter_table('router', schema=None) as batch_op:
        batch_op.add_column(sa.Column('description', sa.String(length=1000), server_default='', nullable=False))

    with op.batch_alter_table('router_interface', schema=None) as batch_op:
        batch_op.add_column(sa.Column('state', sa.String(length=20), server_default='active', nullable=False))
        batch_op.add_column(sa.Column('trashed_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.drop_constraint(batch_op.f('uq_router_interface_subnet_id_address'), type_='unique')

    with op.batch_alter_table('router_interface', schema=None) as batch_op:
        batch_op.alter_column('state', server_default=None)
        batch_op.create_index(
            'uq_router_interface_living', ['subnet_id', 'address'], unique=True, sqlite_where=LIVING,
            postgresql_where=LIVING,
        )

    # Legs of a router in the trash lie there with it.
    op.execute(
        "UPDATE router_interface SET state = 'trashed', trashed_at = "
        "(SELECT trashed_at FROM router WHERE router.id = router_interface.router_id) WHERE router_id IN "
        "(SELECT id FROM router WHERE state = 'trashed')"
    )

    with op.batch_alter_table('floating_ip', schema=None) as batch_op:
        batch_op.add_column(sa.Column('inner_address', sa.String(length=45), nullable=True))
        batch_op.add_column(sa.Column('name', sa.String(length=100), server_default='', nullable=False))


def downgrade() -> None:
    """Back."""
    with op.batch_alter_table('floating_ip', schema=None) as batch_op:
        batch_op.drop_column('name')
        batch_op.drop_column('inner_address')

    op.execute("DELETE FROM router_interface WHERE state = 'trashed'")
    with op.batch_alter_table('router_interface', schema=None) as batch_op:
        batch_op.drop_index('uq_router_interface_living')
        batch_op.drop_column('trashed_at')
        batch_op.drop_column('state')
        batch_op.create_unique_constraint(batch_op.f('uq_router_interface_subnet_id_address'), ['subnet_id', 'address'])

    with op.batch_alter_table('router', schema=None) as batch_op:
        batch_op.drop_column('description')

    with op.batch_alter_table('router_route', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_router_route_router_id'))

    op.drop_table('router_route')
