"""The step by which a volume gets other tags."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.operations.events import emit
from yun.operations.flow import Op, tx_step
from yun.storage.model import Volume
from yun.storage.service import subject_of


def _write(op: Op, session: Session, volume: Volume, tags: list[str]) -> None:
    volume.tags = tags
    emit(
        session, "volume.updated", subject=subject_of(volume), project_id=volume.project_id, operation_id=op.id
    )  # fmt: skip


def _untag(op: Op, session: Session, output: Any, volume_id: str, tags: list[str]) -> None:
    volume = session.get(Volume, volume_id)
    if volume is not None and output is not None:
        _write(op, session, volume, output)


@tx_step(undo=_untag)
def tag_volume(op: Op, session: Session, volume_id: str, tags: list[str]) -> list[str]:
    """The volume has these tags; returns those it had."""
    volume = session.get_one(Volume, volume_id)
    before = list(volume.tags)
    _write(op, session, volume, tags)
    return before
