"""network functions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0030'
down_revision = '0029'
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), 'postgresql')


def upgrade() -> None:
    """Forward."""
    op.create_table(
        'network_function',
        sa.Column('project_id', sa.String(length=40), nullable=False),
        sa.Column('instance_id', sa.String(length=40), nullable=False),
        sa.Column('kind', sa.String(length=20), nullable=False),
        sa.Column('settings', JSON, nullable=False),
        sa.Column('public_key', sa.String(length=60), nullable=False),
        sa.Column('secret', sa.Text(), nullable=False),
        sa.Column('id', sa.String(length=40), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('revision', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.ForeignKeyConstraint(['instance_id'], ['instance.id'], name=op.f('fk_network_function_instance_id_instance'), ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_network_function_project_id_project')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_network_function')),
        sa.UniqueConstraint('instance_id', name=op.f('uq_network_function_instance_id')),
    )
    with op.batch_alter_table('network_function', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_network_function_project_id'), ['project_id'], unique=False)
    op.create_table(
        'network_function_state',
        sa.Column('function_id', sa.String(length=40), nullable=False),
        sa.Column('asked_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('seen_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('digest', sa.String(length=64), nullable=False),
        sa.Column('fault', sa.String(length=20), nullable=False),
        sa.Column('facts', JSON, nullable=False),
        sa.ForeignKeyConstraint(['function_id'], ['network_function.id'], name=op.f('fk_network_function_state_function_id_network_function'), ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('function_id', name=op.f('pk_network_function_state')),
    )
    with op.batch_alter_table('network_function_state', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_network_function_state_asked_at'), ['asked_at'], unique=False)


def downgrade() -> None:
    """Back."""
    op.drop_table('network_function_state')
    op.drop_table('network_function')
