"""What nobody goes on with: forgotten uploads and copies, imports that were abandoned, files that belong to nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import DriverError
from yun.base.log import logger
from yun.base.messages import _
from yun.images.model import UNFINISHED, Export, Image, Upload
from yun.images.places import clear, holder, pool_of
from yun.images.service.look import subject
from yun.operations.events import emit, raise_notice, resolve_notice
from yun.operations.flow import Op
from yun.operations.intent import Subject
from yun.operations.model import OPEN, Operation, OperationSubject
from yun.storage import service as storage
from yun.storage import steps as storage_steps
from yun.storage.model import LayerHold, Pool, PoolState

log = logger(__name__)
SAMPLE = 5
COPIES = ("image.export", "instance.export", "volume.download")
"""The operations that make copies to download."""


def tidy(op: Op) -> list[str]:
    """Throw away what is over and what nobody works on; the ids. One that cannot be thrown away waits for the next
    time. While the clock cannot be trusted, nothing is over."""
    with op.read() as session:
        over = [*_expired(op, session), *_orphans(session)]
    gone = []
    for row in over:
        op.check_cancel()
        try:
            if _give_up(op, row):
                gone.append(str(row.id))
        except DriverError as error:
            log.warning("%s is not thrown away yet: %s", row.id, error)
    _tell_unknown(op)
    return gone


def _expired(op: Op, session: Session) -> list[Upload | Export]:
    if not storage.time_is_settled(session, op.clock):
        return []
    now = op.clock.now()
    rows: list[Upload | Export] = [
        row for row in session.scalars(sa.select(Upload).where(Upload.expires_at <= now)) if _over(op, session, row)
    ]
    return rows + list(session.scalars(sa.select(Export).where(Export.expires_at <= now, Export.state == "ready")))


def _over(op: Op, session: Session, row: Upload) -> bool:
    """Whether an upload's time has passed and no import works on it."""
    return row.expires_at <= op.clock.now() and not _is_open(session, row.operation_id)


def _is_open(session: Session, operation_id: str | None) -> bool:
    query = sa.select(Operation.seq).where(Operation.id == operation_id, Operation.state.in_(OPEN))
    return operation_id is not None and session.scalar(query) is not None


def _orphans(session: Session) -> list[Image | Export]:
    """Unfinished images and copies that no open operation works on: theirs was abandoned."""
    images = session.scalars(sa.select(Image).where(Image.state.in_(UNFINISHED)))
    copies = session.scalars(sa.select(Export).where(Export.state == "making"))
    found: list[Image | Export] = [row for row in images if not _worked_on(session, row.id)]
    return found + [row for row in copies if not _copied(session, row.id)]


def _worked_on(session: Session, image_id: str) -> bool:
    query = (
        sa.select(Operation.seq)
        .join(OperationSubject, OperationSubject.seq == Operation.seq)
        .where(
            OperationSubject.kind == "image", OperationSubject.id == image_id, Operation.state.in_(OPEN)
        )
    )  # fmt: skip
    return session.scalar(query.limit(1)) is not None


def _copied(session: Session, export_id: str) -> bool:
    query = sa.select(Operation.arguments).where(Operation.kind.in_(COPIES), Operation.state.in_(OPEN))
    return any(arguments.get("export_id") == export_id for arguments in session.scalars(query))


def _give_up(op: Op, row: Upload | Export | Image) -> bool:
    """The thing is gone, its file first; false where somebody has gone on with it meanwhile."""
    if isinstance(row, Image):
        return _give_up_image(op, row)
    pool = pool_of(op, row.pool_id)
    with op.read() as session:
        fresh = session.get(type(row), row.id)
        if fresh is None or (isinstance(fresh, Upload) and not _over(op, session, fresh)):
            return False
    store = op.drivers.on(pool.host_id).volume
    parts = [p for p in store.list_files(pool.path, ("incoming",)) if _stem(p) == row.id and p != row.path]
    for path in (*parts, row.path):
        store.delete(path)
    Path(row.path).unlink(missing_ok=True)  # what came through the API lies on the real disk in `yun dev` too
    with op.write() as session:
        session.execute(sa.delete(type(row)).where(type(row).id == row.id))
    return True


def _give_up_image(op: Op, image: Image) -> bool:
    clear(op, image.id, image.pool_id)
    with op.write() as session:
        fresh = session.get(Image, image.id)
        if fresh is None or fresh.state not in UNFINISHED or _worked_on(session, image.id):
            return False
        held = list(session.scalars(sa.select(LayerHold.layer_id).where(LayerHold.holder == holder(image.id))))
        for layer_id in held:
            storage.let_go(session, layer_id, holder(image.id))
        session.delete(fresh)
        emit(session, "image.removed", subject=subject(fresh), project_id=fresh.project_id, operation_id=op.id)
    for layer_id in held:
        storage_steps.drop_layer(op, layer_id, holder(image.id))
    return True


# ── strangers ──


def _tell_unknown(op: Op) -> None:
    """Files on their way that no upload, copy or import knows: told, never deleted."""
    with op.read() as session:
        pools = list(session.scalars(sa.select(Pool).where(Pool.state == PoolState.ACTIVE)))
    for pool in pools:
        try:
            files = op.drivers.on(pool.host_id).volume.list_files(pool.path, ("incoming",))
        except DriverError as error:
            log.warning("the files on their way into %s are not looked at: %s", pool.name, error)
            continue
        _tell_strangers(op, pool, files)


def _tell_strangers(op: Op, pool: Pool, files: list[str]) -> None:
    key = f"pool-incoming:{pool.id}"
    with op.write() as session:
        known = {*session.scalars(sa.select(Upload.path)), *session.scalars(sa.select(Export.path))}
        stems = {_stem(path) for path in known}
        strangers = [path for path in files if _stem(path) not in stems and not _of_an_import(session, path)]
        if not strangers:
            resolve_notice(session, key)
            return
        names = ", ".join(path.removeprefix(pool.path + "/") for path in strangers[:SAMPLE])
        values: dict[str, Any] = {"pool": pool.name, "count": len(strangers), "names": names}
        raise_notice(
            session, key, subject=Subject("pool", pool.id, pool.name),
            message=_("In the pool {pool} lie {count} files on their way that belong to nothing: {names}", **values),
            hint=_("They are left alone. Remove them by hand once you know what they are."),
        )  # fmt: skip


def _stem(path: str) -> str:
    """The id that a file on its way is named by; what is made for it or of it has other endings."""
    return path.rpartition("/")[2].partition(".")[0]


def _of_an_import(session: Session, path: str) -> bool:
    image_id = _stem(path)
    image = session.get(Image, image_id)
    return (image is not None and image.state in UNFINISHED) or _worked_on(session, image_id)
