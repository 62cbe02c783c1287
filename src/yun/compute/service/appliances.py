"""The verb import: an uploaded appliance (OVA) becomes an instance with volumes and network cards, stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict, Invalid
from yun.base.ids import as_uuid, new_id
from yun.base.messages import Message, _
from yun.base.units import MIB, format_size
from yun.compute.model import Instance, State
from yun.compute.names import check_description, check_name, hostname_for
from yun.compute.service.flavors import check_size
from yun.compute.service.look import get, refuse_taken
from yun.compute.service.power import HOST_SLOTS
from yun.compute.service.remove import delete
from yun.compute.service.slots import LETTERS
from yun.hosts import service as hosts
from yun.images import service as images
from yun.images.appliance import Appliance, ApplianceDisk
from yun.images.model import Upload
from yun.network import service as network
from yun.operations.intent import Intent, Key, Subject
from yun.operations.model import OPEN, Operation
from yun.operations.opposites import opposite
from yun.storage import service as storage

MOST_ON = {bus: len(letters) for bus, (_start, letters) in LETTERS.items()}


@dataclass(frozen=True)
class ImportWish:
    """What a person says beside what the appliance says itself; what is left out is taken from there. ``network`` is
    for all of its cards."""

    name: str | None = None
    network: str | None = None
    vcpus: int | None = None
    memory_mib: int | None = None
    description: str = ""


@dataclass(frozen=True)
class Plan:
    """Every thing that an import makes, before it is made."""

    row: Instance
    host: hosts.Host
    appliance: Appliance
    places: Sequence[tuple[str, str]]
    disks: Sequence[storage.VolumePlan]
    ports: Sequence[network.PortPlan]


def contents(ctx: Context, upload: Upload) -> dict[str, Any]:
    """What an uploaded appliance contains, as JSON, for whoever may import it. Raises as `import_appliance`."""
    ctx.may("instance.import", upload.project_id)
    found = images.appliance_of(upload)
    names = ("file", "capacity", "bus", "gzip", "size", "algorithm")
    return {
        "id": upload.id, "filename": upload.filename, "length_bytes": upload.length_bytes, "name": found.name,
        "os": found.os, "vcpus": found.vcpus, "memory_mib": found.memory_mib, "firmware": found.firmware,
        "nics": list(found.nics), "checked": found.checked,
        "warnings": [w.render(ctx.locale) for w in found.warnings],
        "disks": [{n: getattr(disk, n) for n in names} for disk in found.disks],
    }  # fmt: skip


def import_appliance(ctx: Context, upload: Upload, wish: ImportWish | None = None) -> Intent:
    """Make an instance of an uploaded appliance: its disks become volumes, its cards ports; it is left stopped.

    Raises `Invalid` for an OVA that is not accepted and for what does not fit here, `Conflict` for a taken name or an
    upload that is incomplete or being imported, `NoCapacity` where it does not fit. Undo lays it into the trash.
    """
    ctx.may("instance.import")
    if ctx.project_id is None:
        raise Invalid(_("Choose a project first."), fields={"project": _("the project that will own the instance")})
    _refuse_busy(ctx.session, upload)
    plan = _plan(ctx, upload, images.appliance_of(upload), wish or ImportWish())
    row = plan.row

    def write(into: Session) -> None:
        refuse_taken(into, row.project_id, row.name)
        _refuse_busy(into, upload)
        into.add(row)
        into.flush()
        hosts.allocate(into, host_id=row.host_id, owner=row.id, vcpus=row.vcpus, memory_mib=row.memory_mib)
        for number, (disk, (slot, bus)) in enumerate(zip(plan.disks, plan.places, strict=True)):
            disk.write(into)
            first = None if number else 1
            storage.attach(
                into, volume_id=disk.volume_id, instance_id=row.id, instance_name=row.name, slot=slot, bus=bus,
                boot_order=first,
            )  # fmt: skip
        for port in plan.ports:
            port.write(into)

    return Intent(
        kind="instance.import",
        title=_("Import instance {name}", name=row.name),
        subject=Subject("instance", row.id, row.name),
        project_id=row.project_id,
        arguments={
            "instance_id": row.id, "upload_id": upload.id, "path": upload.path,
            "disks": [
                [made.volume_id, asdict(disk)] for made, disk in zip(plan.disks, plan.appliance.disks, strict=True)
            ],
        },
        keys=(
            Key(f"instance:{row.id}"), Key(f"host:{plan.host.id}", HOST_SLOTS), Key(f"upload:{upload.id}"),
            Key("image-work", slots=2),
        ),
        subjects=(
            *(Subject("volume", d.volume_id, d.name) for d in plan.disks), *(s for p in plan.ports for s in p.subjects),
        ),
        effects=_effects(plan),
        depends=tuple(_("network {name}", name=n) for n in dict.fromkeys(p.network.name for p in plan.ports)),
        capacity=storage.capacity_left(plan.disks[0]),
        write=write,
        deadline=6 * 3600.0,
    )  # fmt: skip


@opposite("instance.import")
def unimport(ctx: Context, operation: Operation) -> Intent:
    """Undo of an import: the machine goes to the trash with its disks."""
    return delete(ctx, get(ctx, operation.subject_id))


def _refuse_busy(session: Session, upload: Upload) -> None:
    """Pass where nothing is being made of the upload. Raises `Conflict`."""
    query = sa.select(Operation.arguments).where(Operation.kind == "instance.import", Operation.state.in_(OPEN))
    if upload.operation_id is not None or any(a.get("upload_id") == upload.id for a in session.scalars(query)):
        raise Conflict(_("The upload {name} is being imported already.", name=upload.name))


def _plan(ctx: Context, upload: Upload, appliance: Appliance, wish: ImportWish) -> Plan:
    project_id = ctx.project_id or ""
    name = check_name(wish.name or appliance.name or upload.name)
    refuse_taken(ctx.session, project_id, name)
    vcpus = wish.vcpus if wish.vcpus is not None else appliance.vcpus
    memory = wish.memory_mib if wish.memory_mib is not None else appliance.memory_mib
    check_size(vcpus=vcpus, memory_mib=memory, disk_bytes=appliance.disks[0].capacity)
    identifier = new_id(Instance.PREFIX)
    row = Instance(
        id=identifier, uuid=as_uuid(identifier), project_id=project_id, name=name,
        hostname=hostname_for(name, identifier), description=check_description(wish.description), tags=[],
        vcpus=vcpus, memory_mib=memory, firmware=appliance.firmware, cloud_init=False, state=State.BUILDING,
        ssh_keys=[], mended_at=[],
    )  # fmt: skip
    ports = _ports(ctx, row, appliance, wish)
    lacking = network.hosts_apart(ctx.session, [plan.network for plan in ports])
    host = hosts.choose(ctx.session, vcpus=vcpus, memory_mib=memory, lacking=lacking)
    row.host_id = host.id
    places = _places(appliance.disks)
    disks = [
        storage.plan_volume(
            ctx, name=name if not number else f"{name}-{number + 1}", size_bytes=disk.capacity, project_id=project_id
        )
        for number, disk in enumerate(appliance.disks)
    ]
    return Plan(row, host, appliance, places, disks, ports)


def _places(disks: Sequence[ApplianceDisk]) -> list[tuple[str, str]]:
    """Slot and bus of each disk. Raises `Invalid` where a bus has no more room."""
    taken: Counter[str] = Counter()
    found = []
    for disk in disks:
        start, letters = LETTERS[disk.bus]
        if taken[disk.bus] == len(letters):
            raise Invalid(
                _("It has more disks on the bus {bus} than the {most} there can be.", bus=disk.bus, most=len(letters))
            )
        found.append((start + letters[taken[disk.bus]], disk.bus))
        taken[disk.bus] += 1
    return found


def _ports(ctx: Context, row: Instance, appliance: Appliance, wish: ImportWish) -> list[network.PortPlan]:
    found = []
    for number, model in enumerate(appliance.nics):
        plan = network.plan_port(
            ctx, network=wish.network, instance_id=row.id, hostname=row.hostname if not number else "", model=model
        )
        plan.port.device_index, plan.port.labels = number, list(row.tags or [])
        found.append(plan)
    return found


def unchanged(appliance: Appliance) -> tuple[Message, ...]:
    """What stays in its guest as it was where it came from: nobody knows whether it has a cloud-init or an agent."""
    return (
        _("Nothing inside its guest is changed: host name, users and passwords, SSH host keys and machine ID stay as "
          "they were where it came from, and no keys or user data of this cloud reach it."),
        *((
            _("Its network cards have new MACs and get their addresses by DHCP: a guest with a fixed address, or with "
              "settings bound to its old MACs, is reached only by screen and serial console until that is changed "
              "inside."),
        ) if appliance.nics else ()),
        _("Where a guest agent answers once it runs, its password can be set from here; without one that too is done "
          "inside."),
    )  # fmt: skip


def _effects(plan: Plan) -> tuple[Message, ...]:
    row = plan.row
    disks = zip(plan.appliance.disks, plan.disks, plan.places, strict=True)
    return (
        _("An instance with {vcpus} vCPU and {memory} of memory is made on host {host}.",
          vcpus=row.vcpus, memory=format_size(row.memory_mib * MIB), host=plan.host.name),
        *(
            _("{file} becomes a disk of {size} on {bus} ({slot}).",
              file=disk.file or "–", size=format_size(made.size_bytes), bus=bus, slot=slot)
            for disk, made, (slot, bus) in disks
        ),
        *(
            _("A network card ({model}) in {network}.", model=p.port.model, network=p.network.name) for p in plan.ports
        ),
        *plan.appliance.warnings,
        *unchanged(plan.appliance),
        *((_("Its disks are held against the manifest while they are read."),) if plan.appliance.checked else ()),
        _("It is not started."),
    )  # fmt: skip
