"""The steps by which an instance becomes an OVA."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.messages import _
from yun.compute.model import LIVE
from yun.compute.steps.clone import STOPPED
from yun.compute.steps.shared import load
from yun.images.appliance.bundling import Source, bundle, unbundle
from yun.images.appliance.writing import Card, DiskFile, Machine
from yun.images.model import Export
from yun.network.model import Network
from yun.network.service import ports_of
from yun.operations.flow import Op, step, tx_step
from yun.storage.model import Layer
from yun.storage.service import attachments_of
from yun.storage.steps.shared import told_format


def _unexport(op: Op, session: Session, output: Any, export_id: str, instance_id: str) -> None:
    row = session.get(Export, export_id)
    if row is not None:
        session.delete(row)


@tx_step(undo=_unexport)
def begin_export(op: Op, session: Session, export_id: str, instance_id: str) -> str:
    """The export's row is there; taken back, it is gone."""
    return session.get_one(Export, export_id).path


def _unmake(op: Op, output: Any, export_id: str, instance_id: str, frozen: dict[str, Any] | None) -> None:
    unbundle(op, export_id)


@step(undo=_unmake)
def make_appliance(
    op: Op, export_id: str, instance_id: str, frozen: dict[str, Any] | None
) -> dict[str, Any]:
    """The OVA is ready for its download (`bundling.bundle`). The disks are read from the layers that they became
    (``frozen``: what `freeze_source` told), or, of a machine that is off or only reads them, where they lie. Raises
    `Conflict` where it was started meanwhile.
    """
    with op.read() as session:
        disks = attachments_of(session, instance_id)
        machine = load(session, instance_id)
        layers = frozen["layers"] if frozen else {}
        files = {volume_id: session.get_one(Layer, layer_id) for volume_id, layer_id in layers.items()}
    if machine.state in LIVE and frozen is None:
        raise Conflict(
            _("{name} was started meanwhile: a copy of its disks would not be consistent.", name=machine.name),
            hint=_("Ask for it again: a running instance is copied as it is at one moment."),
        )
    sources = []
    for disk in disks:
        file = files.get(disk.volume_id, disk.head)
        sources.append(Source(file.path, disk.volume.size_bytes, disk.attachment.bus, told_format(file)))
    made = bundle(op, export_id, machine.hostname, sources, lambda files: _machine(op, instance_id, files))
    return {**made, "consistency": frozen["consistency"] if frozen else STOPPED}


def _machine(op: Op, instance_id: str, disks: list[DiskFile]) -> Machine:
    with op.read() as session:
        row = load(session, instance_id)
        cards = [Card(p.model, session.get_one(Network, p.network_id).name) for p in ports_of(session, instance_id)]
        return Machine(
            name=row.name, description=row.description, system=row.image_name, vcpus=row.vcpus,
            memory_mib=row.memory_mib, firmware=row.firmware, disks=disks, cards=cards,
        )  # fmt: skip
