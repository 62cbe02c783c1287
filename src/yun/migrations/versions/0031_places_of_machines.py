"""places of running machines, and what waits for one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0031'
down_revision = '0030'
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), 'postgresql')
WAITS = ('attachment', 'port')


def upgrade() -> None:
    """Forward."""
    with op.batch_alter_table('instance', schema=None) as batch_op:
        batch_op.add_column(sa.Column('places', JSON, server_default='{}', nullable=False))
    for table in WAITS:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column('waits', sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    """Back."""
    for table in WAITS:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column('waits')
    with op.batch_alter_table('instance', schema=None) as batch_op:
        batch_op.drop_column('places')
