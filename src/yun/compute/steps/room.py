"""What a running machine has and takes, as the hypervisor sees it: asked before something is plugged in, and written
down after."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import DriverError
from yun.base.log import logger
from yun.compute.model import Instance
from yun.compute.service.room import room_for
from yun.compute.steps.shared import load, place
from yun.drivers.hypervisor.port import Hypervisor, Places
from yun.network.model import TRASHED, Port
from yun.network.service import ports_of
from yun.operations.flow import Op
from yun.storage.model import Attachment
from yun.storage.service import attachments_of

log = logger(__name__)


def takes(hypervisor: Hypervisor, row: Instance, need: str, name: str) -> bool:
    """Whether the machine runs and has ``name`` (a slot, a MAC) already, or takes it now."""
    places = hypervisor.places(row.uuid) if need else None
    return places is not None and (name in places.taken or room_for(kept(places), need))


def kept(places: Places) -> dict[str, Any]:
    """Places as an instance's row keeps them."""
    return {name: value for name, value in asdict(places).items() if name != "taken"}


def note_places(op: Op, instance_id: str, *, leaving: bool = False) -> None:
    """The rows say what places a running machine has left, and which of its disks and cards it does not have before its
    next start; not where one is ``leaving``, whose row is still there. A hypervisor that does not answer is no reason
    to fail: each plugging looks for itself."""
    row, hypervisor = place(op, instance_id)
    places = seen(hypervisor, row)
    if places is not None:
        with op.write() as session:
            write_places(session, load(session, instance_id), places, leaving=leaving)


def seen(hypervisor: Hypervisor, row: Instance) -> Places | None:
    """The places of the machine; None where it does not run, or the hypervisor does not answer."""
    try:
        return hypervisor.places(row.uuid)
    except DriverError as error:
        log.info("the places of %s are not known: %s", row.id, error)
        return None


def write_places(session: Session, row: Instance, places: Places, *, leaving: bool = False) -> None:
    """The rows say what was seen."""
    if not leaving:
        _waiting(session, row, places.taken)
    if row.places != (now := kept(places)):
        _write(session, Instance, row.id, places=now)


def _waiting(session: Session, row: Instance, taken: frozenset[str]) -> None:
    """Disks and cards that are not among ``taken`` wait for the machine's next start."""
    for disk in attachments_of(session, row.id):
        if disk.attachment.waits is not (later := disk.attachment.slot not in taken):
            _write(session, Attachment, disk.attachment.id, waits=later)
    for port in ports_of(session, row.id):
        later = port.state != TRASHED and port.mac not in taken
        if port.waits is not later:
            _write(session, Port, port.id, waits=later)


def _write(session: Session, table: Any, identifier: str, **values: Any) -> None:
    """By a statement, so that the revision (the ETag) of the row stays."""
    session.execute(
        sa.update(table).where(table.id == identifier).values(updated_at=table.updated_at, **values),
        execution_options={"synchronize_session": "fetch"},
    )
