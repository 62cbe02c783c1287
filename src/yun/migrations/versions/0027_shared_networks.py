"""shared networks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0027'
down_revision = '0026'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        'network_share',
        sa.Column('network_id', sa.String(length=40), nullable=False),
        sa.Column('project_id', sa.String(length=40), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(['network_id'], ['network.id'], name=op.f('fk_network_share_network_id_network')),
        sa.PrimaryKeyConstraint('network_id', 'project_id', name=op.f('pk_network_share')),
    )
    with op.batch_alter_table('network_share', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_network_share_project_id'), ['project_id'], unique=False)


def downgrade() -> None:
    """Back."""
    op.drop_table('network_share')
