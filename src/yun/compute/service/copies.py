"""What a copy takes over from its source and what it does not: names for many, rows for each. Plans only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.ids import as_uuid, new_id
from yun.base.naming import numbered
from yun.compute.media.model import CdDrive
from yun.compute.model import Instance, State
from yun.compute.names import check_name, hostname_for
from yun.compute.service.look import refuse_taken
from yun.images.model import Image, Visibility
from yun.network import service as network
from yun.network.model import Port, PortSecurityGroup
from yun.network.service import PortPlan
from yun.storage import service as storage
from yun.storage.model import Attachment
from yun.storage.service import Disk, VolumePlan

MOST_COPIES = 100

OWN = frozenset({
    "id", "uuid", "project_id", "name", "hostname", "state", "reason", "boot_id", "agent", "started_at",
    "running_vcpus", "running_memory_mib", "running_hardware", "places", "mended_at", "protected",
    "renew_identity", "boot_order", "boot_once", "created_at", "updated_at", "revision",
})  # fmt: skip
"""Columns of `Instance` that a copy has of its own; it takes over every other one."""

OWN_PLACE = frozenset({
    "id", "volume_id", "instance_id", "instance_name", "kept", "removal", "running", "waits", "created_at",
    "updated_at", "revision",
})  # fmt: skip
"""Columns of `Attachment` that a copy has of its own. What was attached to the source is a volume of the copy's: it
came with it and goes with it."""

OWN_DRIVE = frozenset({"id", "instance_id", "created_at", "updated_at", "revision"})
"""Columns of `CdDrive` that a copy has of its own."""

OWN_CARD = frozenset({
    "id", "project_id", "network_id", "subnet_id", "mac", "address", "instance_id", "hostname", "host_id", "plugged",
    "state", "trashed_at", "created_at", "updated_at", "revision", "labels", "waits",
})  # fmt: skip
"""Columns of `Port` that a copy has of its own."""


def taken_over(session: Session, table: type[Any], identifier: str, own: frozenset[str]) -> dict[str, Any]:
    """The values of a row that a copy takes over, by column."""
    columns = [c for c in table.__table__.columns if c.name not in own]
    row = session.execute(sa.select(*columns).where(table.__table__.c.id == identifier)).one()
    return {c.name: value for c, value in zip(columns, row, strict=True)}


def names_for(pattern: str, count: int) -> list[str]:
    """``count`` names: ``{n}`` stands for the number, ``{n:02d}``-like with leading zeros; without one the number is
    added. Each is checked, and they differ. Raises `Invalid`."""
    names = numbered(pattern, count, most=MOST_COPIES)
    return [check_name(pattern)] if not pattern.strip() else [check_name(name) for name in names]


@dataclass(frozen=True)
class Copy:
    """One copy before it is: its row, its disks with the places they take (and whose copies they are), its cards, its
    CD drives. ``lost`` are the names of CDs that it may not have."""

    row: Instance
    disks: tuple[tuple[str, VolumePlan, dict[str, Any]], ...]
    ports: tuple[PortPlan, ...]
    drives: tuple[CdDrive, ...] = ()
    lost: tuple[str, ...] = ()

    def write(self, session: Session) -> None:
        """Add the rows, state ``building``. Raises what came in between since the plan."""
        refuse_taken(session, self.row.project_id, self.row.name)
        session.add(self.row)
        session.flush()
        for _source, plan, place in self.disks:
            plan.write(session)
            session.add(
                Attachment(
                    volume_id=plan.volume_id, instance_id=self.row.id, instance_name=self.row.name, kept=False, **place
                )
            )  # fmt: skip
            session.flush()
        for port in self.ports:
            port.write(session)
        for drive in self.drives:
            if drive.layer_id is not None:
                storage.get_layer(session, drive.layer_id, lock=True)
            session.add(drive)

    @property
    def parts(self) -> dict[str, Any]:
        """What the operation is told: the copy, and which volume is whose copy."""
        return {
            "instance_id": self.row.id,
            "volumes": [{"volume_id": plan.volume_id, "of": source} for source, plan, _place in self.disks],
        }


def plan_copy(
    ctx: Context, source: Instance, name: str, *, values: dict[str, Any], network_name: str | None,
    disks: Sequence[Disk], same_project: bool,
) -> Copy:  # fmt: skip
    """Choose everything for one copy called ``name`` in the context's project; ``values`` replace what it takes over.

    Raises as planning a volume and a port does, and `Conflict` for a taken name.
    """
    planned = tuple(_plan_disk(ctx, disk, name, first=number == 0) for number, disk in enumerate(disks))
    return plan_around(
        ctx, source, name, values=values, network_name=network_name, planned=planned, same_project=same_project
    )


def plan_around(
    ctx: Context, source: Instance, name: str, *, values: dict[str, Any], network_name: str | None,
    planned: tuple[tuple[str, VolumePlan, dict[str, Any]], ...], same_project: bool,
) -> Copy:  # fmt: skip
    """The same with disks that are planned already, each with whose copy it is and its place."""
    session, project_id = ctx.session, str(ctx.project_id)
    refuse_taken(session, project_id, name)
    instance_id = new_id(Instance.PREFIX)
    taken = taken_over(session, Instance, source.id, OWN)
    taken = {**taken, **values}
    # Which of the host's processors a machine has to itself was decided for that one machine.
    taken["hardware"] = {name: value for name, value in taken["hardware"].items() if name != "pins"}
    row = Instance(
        **taken, id=instance_id, uuid=as_uuid(instance_id),
        project_id=project_id, name=name, hostname=hostname_for(name, instance_id), state=State.BUILDING,
        protected=False, renew_identity=True, mended_at=[],
    )  # fmt: skip
    ports = tuple(_plan_ports(ctx, source, row, network_name, same_project=same_project))
    row.boot_order = _order(ctx.session, source, planned, ports)
    return Copy(row, planned, ports, *_plan_drives(ctx, source, row, same_project=same_project))


def _order(
    session: Session, source: Instance, disks: Sequence[tuple[str, VolumePlan, dict[str, Any]]],
    ports: Sequence[PortPlan],
) -> list[str]:  # fmt: skip
    """What the source tries to boot from, as the copy's own: its volumes, cards, and drives of the same slots."""
    own = {of: plan.volume_id for of, plan, _place in disks}
    own |= {p.id: plan.id for p, plan in zip(network.ports_of(session, source.id), ports, strict=False)}
    gone = {v.volume.id for v in storage.attachments_of(session, source.id)} - own.keys()
    gone |= {p.id for p in network.ports_of(session, source.id)} - own.keys()
    return [own.get(key, key) for key in source.boot_order if key not in gone]


def _plan_drives(
    ctx: Context, source: Instance, row: Instance, *, same_project: bool
) -> tuple[tuple[CdDrive, ...], tuple[str, ...]]:
    """A drive for each of the source's with the same CD in it, and the names of CDs that stay behind: a copy in another
    project gets those that every project may use, or that whoever asks may take out of theirs."""
    planned, lost = [], []
    query = sa.select(CdDrive).where(CdDrive.instance_id == source.id).order_by(CdDrive.slot)
    for drive in ctx.session.scalars(query):
        values = taken_over(ctx.session, CdDrive, drive.id, OWN_DRIVE)
        image = ctx.session.get(Image, drive.image_id) if drive.image_id else None
        public = image is not None and image.visibility == Visibility.PUBLIC
        shared = same_project or public or (image is not None and ctx.allowed("image.export", image.project_id))
        if drive.image_id and not shared:
            values |= {"image_id": None, "image_name": "", "layer_id": None}
            lost.append(drive.image_name)
        planned.append(CdDrive(id=new_id(CdDrive.PREFIX), instance_id=row.id, **values))
    return tuple(planned), tuple(lost)


def _plan_disk(ctx: Context, disk: Disk, name: str, *, first: bool) -> tuple[str, VolumePlan, dict[str, Any]]:
    volume, slot = disk.volume, disk.attachment.slot
    plan = storage.plan_volume(
        ctx, name=(name if first else f"{name}-{slot}")[:100], size_bytes=volume.size_bytes,
        project_id=str(ctx.project_id), pool=volume.pool_id, description=volume.description,
    )  # fmt: skip
    return volume.id, plan, taken_over(ctx.session, Attachment, disk.attachment.id, OWN_PLACE)


def _plan_ports(
    ctx: Context, source: Instance, row: Instance, network_name: str | None, *, same_project: bool
) -> list[PortPlan]:
    """A card for each of the source's; the first in the named network, the others where the source's are."""
    planned = []
    for number, card in enumerate(network.ports_of(ctx.session, source.id)):
        into, groups = network_name if number == 0 else None, None
        if same_project and into is None:
            into = card.network_id
        if same_project:
            query = sa.select(PortSecurityGroup.group_id).where(PortSecurityGroup.port_id == card.id)
            groups = list(ctx.session.scalars(query))
        if not same_project and number > 0:
            break
        plan = network.plan_port(ctx, network=into, groups=groups, instance_id=row.id, hostname=row.hostname)
        plan.port.labels = list(row.tags)
        for column, value in taken_over(ctx.session, Port, card.id, OWN_CARD).items():
            setattr(plan.port, column, value)
        planned.append(plan)
    return planned
