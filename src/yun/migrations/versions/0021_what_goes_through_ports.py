"""samples of ports' counters, and recordings of their packets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0021'
down_revision = '0020'
branch_labels = None
depends_on = None

COUNTERS = ('bytes_in', 'packets_in', 'dropped_in', 'bytes_out', 'packets_out', 'dropped_out')


def number() -> sa.types.TypeEngine[int]:
    """A whole number as rows keep it."""
    return sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:
    """Forward."""
    op.create_table('port_sample',
    sa.Column('port_id', sa.String(length=40), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    *(sa.Column(name, number(), nullable=False) for name in COUNTERS),
    sa.PrimaryKeyConstraint('port_id', 'at', name=op.f('pk_port_sample')),
    sqlite_with_rowid=False
    )
    op.create_index(op.f('ix_port_sample_at'), 'port_sample', ['at'], unique=False)
    op.create_table('capture',
    sa.Column('project_id', sa.String(length=40), nullable=False),
    sa.Column('port_id', sa.String(length=40), nullable=False),
    sa.Column('port_name', sa.String(length=100), nullable=False),
    sa.Column('host_id', sa.String(length=40), nullable=False),
    sa.Column('filter', sa.String(length=200), nullable=False),
    sa.Column('seconds', number(), nullable=False),
    sa.Column('max_bytes', number(), nullable=False),
    sa.Column('made_by', sa.String(length=200), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('reason', sa.String(length=20), nullable=False),
    sa.Column('size', number(), nullable=False),
    sa.Column('packets', number(), nullable=True),
    sa.Column('path', sa.String(length=500), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('revision', number(), nullable=False),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_capture_project_id_project')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_capture'))
    )
    with op.batch_alter_table('capture', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_capture_port_id'), ['port_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_capture_project_id'), ['project_id'], unique=False)


def downgrade() -> None:
    """Back."""
    op.drop_table('capture')
    op.drop_table('port_sample')
