"""Filling a volume that is being built with what another disk file holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yun.images.space import check_copy, watched
from yun.operations.events import emit
from yun.operations.flow import Op
from yun.operations.intent import Subject
from yun.storage.model import Pool, Volume, VolumeState
from yun.storage.service.volumes import head_of


def fill_volume(
    op: Op, volume_id: str, source: str, report: Callable[[float], None], *, source_format: str = "",
    alone: bool = False,
    **data: Any,
) -> None:  # fmt: skip
    """The volume's file is an independent copy of ``source`` and all below it, of the format that its row says, and the
    volume is available and stands on nothing.

    ``source_format`` is given where the file must not be looked at for it; ``alone``: it is refused while anybody
    writes to it; ``data`` is told with the event. Raises `NoCapacity` before or while the pool's reserve would be
    touched: nothing is left of the file then.
    """
    with op.read() as session:
        volume = session.get_one(Volume, volume_id)
        head, pool = head_of(session, volume_id), session.get_one(Pool, volume.pool_id)
    path, told = head.path, "raw" if head.format == "raw" else ""
    check_copy(op, pool, source, source_format=source_format)
    store = op.drivers.on(pool.host_id).volume
    store.convert(
        source, path, format="raw" if told else "qcow2", progress=watched(op, pool, report),
        source_format=source_format, alone=alone,
    )  # fmt: skip
    made = store.glance(path, told)
    size = max(volume.size_bytes, made.virtual_bytes)  # the source may have grown meanwhile
    if size > made.virtual_bytes:
        store.grow(path, size, format=told)
        made = store.glance(path, told)
    with op.write() as session:
        volume = session.get_one(Volume, volume_id)
        volume.state, volume.size_bytes, volume.used_bytes = VolumeState.AVAILABLE, size, made.file_bytes
        head_of(session, volume_id).layer_id = None
        emit(
            session, "volume.created", subject=Subject("volume", volume.id, volume.name),
            project_id=volume.project_id, operation_id=op.id,
            data={"size_bytes": size, "pool_id": volume.pool_id, **data},
        )  # fmt: skip
