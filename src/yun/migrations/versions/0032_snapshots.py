"""snapshots."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0032'
down_revision = '0031'
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), 'postgresql')
BIG = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:
    """Forward."""
    op.create_table(
        'snapshot',
        sa.Column('project_id', sa.String(length=40), nullable=False),
        sa.Column('instance_id', sa.String(length=40), nullable=False),
        sa.Column('instance_name', sa.String(length=120), nullable=False),
        sa.Column('parent_id', sa.String(length=40), nullable=True),
        sa.Column('name', sa.String(length=120), nullable=False),
        sa.Column('note', sa.String(length=1000), nullable=False),
        sa.Column('kind', sa.String(length=20), nullable=False),
        sa.Column('state', sa.String(length=20), nullable=False),
        sa.Column('created_by', sa.String(length=120), nullable=False),
        sa.Column('taken_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('power', sa.String(length=20), nullable=False),
        sa.Column('consistency', sa.String(length=20), nullable=False),
        sa.Column('pause_ms', sa.Double(), nullable=True),
        sa.Column('memory_path', sa.String(length=300), nullable=False),
        sa.Column('memory_bytes', BIG, nullable=False),
        sa.Column('nvram', sa.Boolean(), nullable=False),
        sa.Column('tpm', sa.Boolean(), nullable=False),
        sa.Column('pool_path', sa.String(length=200), nullable=False),
        sa.Column('definition', JSON, nullable=False),
        sa.Column('running', JSON, nullable=False),
        sa.Column('cards', JSON, nullable=False),
        sa.Column('drives', JSON, nullable=False),
        sa.Column('left', JSON, nullable=False),
        sa.Column('id', sa.String(length=40), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('revision', BIG, nullable=False),
        sa.ForeignKeyConstraint(['parent_id'], ['snapshot.id'], name=op.f('fk_snapshot_parent_id_snapshot'), ondelete='SET NULL'),
        sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_snapshot_project_id_project')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_snapshot')),
        sa.UniqueConstraint('instance_id', 'name', name=op.f('uq_snapshot_instance_id_name')),
    )
    with op.batch_alter_table('snapshot', schema=None) as batch_op:
        batch_op.create_index('ix_snapshot_created', ['created_at', 'id'], unique=False)
        batch_op.create_index('ix_snapshot_name', ['name', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_snapshot_parent_id'), ['parent_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_snapshot_project_id'), ['project_id'], unique=False)
    op.create_table(
        'snapshot_disk',
        sa.Column('snapshot_id', sa.String(length=40), nullable=False),
        sa.Column('volume_id', sa.String(length=40), nullable=False),
        sa.Column('volume_name', sa.String(length=120), nullable=False),
        sa.Column('layer_id', sa.String(length=40), nullable=False),
        sa.Column('size_bytes', BIG, nullable=False),
        sa.Column('place', JSON, nullable=False),
        sa.ForeignKeyConstraint(['layer_id'], ['layer.id'], name=op.f('fk_snapshot_disk_layer_id_layer')),
        sa.ForeignKeyConstraint(['snapshot_id'], ['snapshot.id'], name=op.f('fk_snapshot_disk_snapshot_id_snapshot'), ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('snapshot_id', 'volume_id', name=op.f('pk_snapshot_disk')),
    )
    with op.batch_alter_table('snapshot_disk', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_snapshot_disk_layer_id'), ['layer_id'], unique=False)
    op.create_table(
        'snapshot_present',
        sa.Column('instance_id', sa.String(length=40), nullable=False),
        sa.Column('snapshot_id', sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(['snapshot_id'], ['snapshot.id'], name=op.f('fk_snapshot_present_snapshot_id_snapshot'), ondelete='SET NULL'),
        sa.PrimaryKeyConstraint('instance_id', name=op.f('pk_snapshot_present')),
    )
    with op.batch_alter_table('snapshot_present', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_snapshot_present_snapshot_id'), ['snapshot_id'], unique=False)


def downgrade() -> None:
    """Back."""
    op.drop_table('snapshot_present')
    op.drop_table('snapshot_disk')
    op.drop_table('snapshot')
