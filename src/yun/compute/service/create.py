"""The verb create: from what a person asks to a plan of rows, placed on a host, that either is shown or submitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.ids import as_uuid, new_id
from yun.base.messages import Message, _
from yun.base.tags import check_tags
from yun.base.units import GIB, MIB, format_size
from yun.compute.cloud_init import check_user_data, hash_password
from yun.compute.hardware import least_memory
from yun.compute.model import Instance, OnCrash, State
from yun.compute.names import check_description, check_hostname, check_name, hostname_for
from yun.compute.service import install
from yun.compute.service.disk_ways import Ways, first_ways, said_ways
from yun.compute.service.edit import check_on_crash, check_seconds
from yun.compute.service.first_disk import FirstDisk, FirstPlan, plan_first, said_first
from yun.compute.service.flavors import check_size, get_flavor
from yun.compute.service.look import refuse_taken
from yun.compute.service.power import HOST_SLOTS
from yun.hosts import service as hosts
from yun.hosts.model import Host
from yun.identity import ssh_keys
from yun.identity.service import get_key
from yun.images import service as images
from yun.images.model import OF_INSTANCE, Image
from yun.network import service as network
from yun.network.model import Network
from yun.operations.intent import Intent, Key, Subject
from yun.storage import capacity
from yun.storage import service as storage

OWN_DISK = 10 * GIB
COPY_SECONDS = 6 * 3600.0


@dataclass(frozen=True)
class Wish:
    """What a person asks for. Names or ids; sizes override the flavor's; ``keys`` are names of his stored SSH keys,
    ``ssh_keys`` literal ones. ``password`` is for the image's default user. ``iso`` instead of ``image``: an empty disk
    and a CD to install from; ``driver_iso`` is a second CD beside it. ``disk`` is how its first disk is made,
    read and written."""

    name: str
    image: str = ""
    flavor: str | None = None
    vcpus: int | None = None
    memory_mib: int | None = None
    disk_bytes: int | None = None
    network: str | None = None
    address: str | None = None
    security_groups: tuple[str, ...] | None = None
    keys: tuple[str, ...] = ()
    ssh_keys: tuple[str, ...] = ()
    password: str | None = field(default=None, repr=False)
    hostname: str | None = None
    user_data: str = field(default="", repr=False)
    description: str = ""
    tags: tuple[str, ...] = ()
    autostart: bool = True
    protected: bool = False
    on_crash: str = OnCrash.RESTART
    shutdown_seconds: int = 60
    start: bool = True
    floating_ip: bool = False
    iso: str = ""
    driver_iso: str = ""
    disk: FirstDisk = field(default_factory=FirstDisk)


@dataclass(frozen=True)
class Size:
    """The size in force, and the flavor it comes from (empty for an own size)."""

    vcpus: int
    memory_mib: int
    disk_bytes: int
    flavor_id: str | None = None
    flavor_name: str = ""


def create(ctx: Context, wish: Wish) -> Intent:
    """Create an instance from an image, or with an empty disk and a CD to install from, and start it unless asked not
    to.

    Raises `Invalid` naming each bad field, `Conflict` for a taken name or address, `NotFound` for what is named but
    not there, `NoCapacity` where no host or pool can hold it. Afterwards the instance is ``building``. Undo removes
    it with its disk and addresses.
    """
    ctx.may("instance.create")
    project_id = ctx.project_id
    if project_id is None:
        raise Invalid(_("Choose a project first."), fields={"project": _("the project that will own the instance")})
    name = check_name(wish.name)
    instance_id = new_id(Instance.PREFIX)
    hostname = check_hostname(wish.hostname) if wish.hostname else hostname_for(name, instance_id)
    image, driver = source_of(ctx, wish)
    for one in (image, driver):
        if one is not None and one.visibility != "public" and one.project_id != project_id:
            ctx.may("image.export", one.project_id)  # a machine of ours carries its content out of that project
    installed = image.kind == "iso"
    size = size_of(ctx, wish, image)
    row = Instance(
        id=instance_id, uuid=as_uuid(instance_id), project_id=project_id, name=name, hostname=hostname,
        description=check_description(wish.description), tags=check_tags(list(wish.tags)),
        vcpus=size.vcpus, memory_mib=size.memory_mib, flavor_id=size.flavor_id, flavor_name=size.flavor_name,
        image_id=image.id, image_name=image.name, firmware=image.firmware,
        default_user="" if installed else image.default_user or "",
        cloud_init=image.cloud_init and not installed, user_data=check_user_data(wish.user_data),
        ssh_keys=_keys(ctx, wish),
        password_hash=hash_password(wish.password) if wish.password else "", autostart=wish.autostart,
        protected=wish.protected, on_crash=check_on_crash(wish.on_crash),
        shutdown_seconds=check_seconds(wish.shutdown_seconds), state=State.BUILDING, mended_at=[],
        renew_identity=image.source == OF_INSTANCE,
    )  # fmt: skip
    refuse_taken(ctx.session, project_id, name)
    return _planned(ctx, wish, row, image, size, driver)


def source_of(ctx: Context, wish: Wish) -> tuple[Image, Image | None]:
    """The image of the disk, or of the CD to install from, and the second CD. Raises `Invalid` where both or neither
    is asked for, and for what only a system with cloud-init could be told."""
    if bool(wish.image) == bool(wish.iso):
        right = _("an image, or iso: a CD to install from")
        raise Invalid(_("What shall it start from?"), fields={"image": right})
    if wish.image:
        if wish.driver_iso:
            raise Invalid(
                _("A second CD is for installing from a CD."), fields={"driver_iso": _("only together with iso")}
            )
        return images.get_bootable(ctx, wish.image), None
    told = {"keys": wish.keys, "ssh_keys": wish.ssh_keys, "password": wish.password, "user_data": wish.user_data}
    wrong = {field: _("nothing: the installer asks for it") for field, value in told.items() if value}
    if wrong:
        raise Invalid(
            _("A system that is installed from a CD cannot be told keys, passwords or user data."), fields=wrong
        )
    driver = images.get_iso(ctx, wish.driver_iso) if wish.driver_iso else None
    return images.get_iso(ctx, wish.iso), driver


def size_of(ctx: Context, wish: Wish, image: Image) -> Size:
    """The flavor's size, changed by what the wish says itself, and fit for the image. Raises `Invalid`."""
    if wish.flavor is not None:
        flavor = get_flavor(ctx, wish.flavor)
        base = Size(flavor.vcpus, flavor.memory_mib, flavor.disk_bytes, flavor.id, flavor.name)
    elif wish.memory_mib is None or wish.vcpus is None:
        right = _("a flavor, or vCPUs and memory")
        raise Invalid(_("How big shall it be? Choose a flavor, or say vCPUs and memory."), fields={"flavor": right})
    else:
        base = Size(wish.vcpus, wish.memory_mib, max(OWN_DISK, image.min_disk_bytes))
    size = Size(
        wish.vcpus if wish.vcpus is not None else base.vcpus,
        wish.memory_mib if wish.memory_mib is not None else base.memory_mib,
        wish.disk_bytes if wish.disk_bytes is not None else max(base.disk_bytes, image.min_disk_bytes),
        base.flavor_id, base.flavor_name,
    )  # fmt: skip
    check_size(vcpus=size.vcpus, memory_mib=size.memory_mib, disk_bytes=size.disk_bytes)
    short: dict[str, Message] = {}
    memory_mib = max(image.min_memory_mib, least_memory(image.firmware))
    if size.memory_mib < memory_mib:
        short["memory_mib"] = _("at least {least}", least=format_size(memory_mib * MIB))
    if size.disk_bytes < image.min_disk_bytes:
        short["disk_bytes"] = _("at least {least}", least=format_size(image.min_disk_bytes))
    if short:
        raise Invalid(_("The image {image} does not fit into this size.", image=image.name), fields=short)
    return size


def _keys(ctx: Context, wish: Wish) -> list[str]:
    stored = [get_key(ctx, name).public_key for name in wish.keys]
    literal = [ssh_keys.parse(text).line for text in wish.ssh_keys]
    return list(dict.fromkeys([*stored, *literal]))


def _planned(
    ctx: Context, wish: Wish, row: Instance, image: Image, size: Size, driver: Image | None = None
) -> Intent:
    session = ctx.session
    card = "e1000" if image.hardware == "compatible" else "virtio"
    port = network.plan_port(
        ctx, network=wish.network, address=wish.address, groups=wish.security_groups, instance_id=row.id,
        hostname=row.hostname, model=card,
    )  # fmt: skip
    host = _host_for(session, size, port.network)
    row.host_id = host.id
    ways = first_ways(session, row, wish.disk)
    cds = install.drives_for(ctx, row, image, driver, wish.disk.bus)
    with capacity.asked_in("disk_bytes"):
        first = plan_first(ctx, row, wish.disk, image, size.disk_bytes)
    disk = first.volume
    port.port.labels = list(row.tags)
    floating = network.plan_floating_ip(ctx, port=port) if wish.floating_ip else None

    def write(into: Session) -> None:
        refuse_taken(into, row.project_id, row.name)  # again, now that nobody else submits
        into.add(row)
        into.flush()
        hosts.allocate(into, host_id=host.id, owner=row.id, vcpus=row.vcpus, memory_mib=row.memory_mib)
        disk.write(into)
        _attach(into, row, first, ways)
        into.add_all(cds)
        port.write(into)
        if floating is not None:
            floating.write(into)

    return Intent(
        kind="instance.create",
        title=_("Create instance {name}", name=row.name),
        subject=Subject("instance", row.id, row.name),
        project_id=row.project_id,
        arguments={
            "instance_id": row.id, "start": wish.start, "floating_ip_id": floating.id if floating else None,
            "copied": first.copied,
        },
        keys=_keys_of(row, first),
        subjects=(
            Subject("volume", disk.volume_id, row.name), *port.subjects, *(floating.subjects if floating else ()),
        ),
        effects=(
            _("An instance with {vcpus} vCPU and {memory} of memory is made on host {host}.",
              vcpus=row.vcpus, memory=format_size(row.memory_mib * MIB), host=host.name),
            _("Its disk has {size}.", size=format_size(size.disk_bytes)),
            *said_first(first, image, card=card),
            *said_ways(session, row, ways),
            *install.effects(cds),
            port.effect,
            *((floating.effect,) if floating else ()),
            _("It is started.") if wish.start else _("It is not started."),
        ),
        depends=(*_depends(row, image), _("network {name}", name=port.network.name)),
        capacity=(*_capacity(session, host, size), port.capacity, *((floating.capacity,) if floating else ())),
        write=write,
        deadline=COPY_SECONDS if first.copied else 900.0,
    )  # fmt: skip


def _host_for(session: Session, size: Size, reached: Network) -> Host:
    """A host that has the room and reaches the network."""
    lacking = network.hosts_apart(session, [reached])
    return hosts.choose(session, vcpus=size.vcpus, memory_mib=size.memory_mib, lacking=lacking)


def _keys_of(row: Instance, first: FirstPlan) -> tuple[Key, ...]:
    copies = (Key(f"pool-work:{first.volume.pool.id}", storage.POOL_SLOTS),) if first.copied else ()
    return (Key(f"instance:{row.id}"), Key(f"host:{row.host_id}", HOST_SLOTS), *copies)


def _depends(row: Instance, image: Image) -> tuple[Message, ...]:
    return (*images.boot_faults([image], row.firmware), _("image {name}", name=image.name))


def _attach(session: Session, row: Instance, first: FirstPlan, ways: Ways) -> None:
    place = storage.attach(
        session, volume_id=first.volume.volume_id, instance_id=row.id, instance_name=row.name, slot=first.slot,
        bus=first.bus, boot_order=1,
    )  # fmt: skip
    for column, value in ways.values().items():
        setattr(place, column, value)


def _capacity(session: Session, host: Host, size: Size) -> tuple[Message, ...]:
    room = next(r for r in hosts.rooms(session) if r.host.id == host.id)
    return (
        _("Afterwards host {host} has {memory} of memory and {vcpus} vCPU left.",
          memory=format_size(max(room.memory_mib - size.memory_mib, 0) * MIB),
          vcpus=max(room.vcpus - size.vcpus, 0), host=host.name),
    )  # fmt: skip


def taken_names(session: Session, project_id: str) -> Sequence[str]:
    """The names that instances of a project have: for suggesting a free one."""
    return list(session.scalars(sa.select(Instance.name).where(Instance.project_id == project_id)))


def free_name(ctx: Context, base: str) -> str:
    """``base``, or ``base-2``, ``base-3``…, whichever is free in the context's project."""
    taken = set(taken_names(ctx.session, ctx.project_id or ""))
    number, name = 1, base
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name

