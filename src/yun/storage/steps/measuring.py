"""The step that measures what volumes really take on their hosts."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from yun.base.errors import DriverError, Invalid
from yun.base.log import logger
from yun.operations.flow import Op, step
from yun.storage.model import Head, Pool, PoolState, Volume
from yun.storage.steps.shared import store_of

log = logger(__name__)


@step(retries=0)
def measure_volumes(op: Op) -> None:
    """Every volume's row says what its file takes now: one look at each pool, and rows are written where it changed.
    A pool that does not answer is left out; its volumes keep what was measured last."""
    with op.read() as session:
        pools = list(session.scalars(sa.select(Pool).where(Pool.state == PoolState.ACTIVE)))
    for pool in pools:
        op.check_cancel()
        changed = dict(_changed(op, pool))
        if not changed:
            continue
        with op.write() as session:
            for volume_id, used in changed.items():
                # A statement, so that the revision (the ETag) does not move with every write of a guest.
                session.execute(
                    sa.update(Volume)
                    .where(Volume.id == volume_id)
                    .values(used_bytes=used, updated_at=Volume.updated_at),
                    execution_options={"synchronize_session": False},
                )


def _changed(op: Op, pool: Pool) -> Iterator[tuple[str, int]]:
    store = store_of(op, pool)
    with op.read() as session:
        query = (
            sa.select(Volume.id, Volume.used_bytes, Head.path, Head.format, Head.adopted)
            .join(Head, Head.volume_id == Volume.id)
            .where(Volume.pool_id == pool.id)
        )
        rows = session.execute(query).all()
    try:
        taken = store.usage(pool.path)
    except DriverError as error:
        log.info("the volumes of %s are not measured: %s", pool.name, error)
        return
    for row in rows:
        used = taken.get(row.path)
        if used is None and row.adopted:
            try:
                used = store.trace(row.path, row.format)[0].file_bytes
            except (DriverError, Invalid) as error:
                log.info("%s is not measured: %s", row.id, error)
        if used is not None and used != row.used_bytes:
            yield row.id, used
