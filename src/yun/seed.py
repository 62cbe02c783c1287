"""Fills a cloud in memory with images and instances in bulk; rows and the fakes' worlds agree."""

from __future__ import annotations

import hashlib
import ipaddress
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.ids import as_uuid, new_id
from yun.base.units import GIB, MIB
from yun.compute.model import Flavor, Instance
from yun.drivers.bundle import Drivers
from yun.drivers.host.fake import FakeMachine
from yun.drivers.hypervisor.fake import FakeDomain, FakeHypervisor
from yun.drivers.hypervisor.port import DiskSpec, DomainSpec, NicSpec, Power
from yun.drivers.network.port import PortSpec
from yun.drivers.volume.fake import FakeFile, FakeVolumeStore
from yun.first import settle
from yun.hosts.model import Allocation, Host
from yun.identity.service import default_project
from yun.images.model import Image
from yun.network.model import Network, Port, PortSecurityGroup, Reservation, SecurityGroup, Subnet
from yun.operations.intent import Subject
from yun.storage.model import Attachment, Head, Layer, LayerHold, Pool, Volume
from yun.worker import Cloud

BATCH = 1000
IMAGES = (
    ("tiny", "linux", "root", 96 * MIB, 20 * MIB, 96),
    ("debian-12", "debian", "debian", 2 * GIB, 154 * MIB, 256),
    ("ubuntu-24.04", "ubuntu", "ubuntu", 3 * GIB, 600 * MIB, 512),
)
ISOS = (
    ("debian-12-installer", "debian", "", 660 * MIB, 650 * MIB, 256),
    ("virtio-win", "windows", "", 700 * MIB, 690 * MIB, 0),
)
NAMES = ("web", "db", "cache", "queue", "build", "mail", "git", "wiki", "lab", "edge", "数据", "前端")
TAGS = ("web", "db", "test", "prod", "lab", "team-a", "team-b")


def enlarge(drivers: Drivers, count: int) -> None:
    """Let the host in memory be large enough for ``count`` instances of the seed, and as many again."""
    machine = drivers.on("local").machine
    if isinstance(machine, FakeMachine):
        facts = machine.inventory
        memory_mib = facts.memory_mib + 1024 * count
        machine.inventory = replace(
            facts, cpus=facts.cpus + count // 4, memory_mib=memory_mib, memory_free_mib=memory_mib // 2
        )


def fill_images(cloud: Cloud) -> None:
    """Host, pool and networks by their own operations, then a few images; nothing where there are images."""
    cloud.engine.nudge("host.tend", Subject("host", "local", "local"))
    cloud.engine.drain()
    settle(cloud)
    cloud.engine.drain()
    with cloud.database.write() as session:
        if session.scalar(sa.select(Image.id).limit(1)) is not None:
            return
        pool = session.scalars(sa.select(Pool)).first()
        host = session.scalars(sa.select(Host)).first()
        if pool is None or host is None:
            return
        store = cloud.drivers.on(host.id).volume
        project = default_project(session)
        for place in IMAGES:
            _image(session, store, pool, project.id, place)
        for place in ISOS:
            _image(session, store, pool, project.id, place, kind="iso")


def _image(
    session: Session, store: Any, pool: Pool, project_id: str, place: tuple[str, str, str, int, int, int],
    kind: str = "disk",
) -> None:  # fmt: skip
    name, system, user, virtual, size, memory = place
    digest = hashlib.sha256(name.encode()).hexdigest()
    path = f"{pool.path}/layers/{digest}.qcow2"
    if isinstance(store, FakeVolumeStore):
        store.world.files[path] = FakeFile("qcow2", virtual, name, length=size, writable=False)
    layer = Layer(
        id=new_id("lay"), pool_id=pool.id, digest=digest, path=path, format="qcow2", virtual_bytes=virtual,
        file_bytes=size, length=size, mtime_ns=1,
    )  # fmt: skip
    image = Image(
        id=new_id("img"), project_id=project_id, name=name, visibility="public", state="active", pool_id=pool.id,
        layer_id=layer.id, kind=kind, boots="bios uefi" if kind == "iso" else "",
        format="iso" if kind == "iso" else "qcow2", source="recipe", source_name=name,
        checksum=digest, size_bytes=size, virtual_bytes=virtual, min_disk_bytes=virtual if kind == "disk" else 0,
        min_memory_mib=memory, os=system, default_user=user,
    )  # fmt: skip
    session.add(layer)
    session.flush()
    session.add_all([LayerHold(layer_id=layer.id, holder=f"image:{image.id}"), image])


def fill_instances(cloud: Cloud, count: int) -> None:
    """``count`` instances with disks, ports and addresses, most of them running; nothing where there are any."""
    with cloud.database.read() as session:
        if count == 0 or session.scalar(sa.select(Instance.id).limit(1)) is not None:
            return
    chance = random.Random(count)
    for start in range(0, count, BATCH):
        with cloud.database.write() as session:
            batch = Batch(cloud, session, chance)
            for n in range(start, min(start + BATCH, count)):
                batch.add(n)
            batch.write()


def fill_found(cloud: Cloud) -> None:
    """Three machines that are not of this cloud, as virt-install leaves them: they wait to be taken over."""
    drivers = cloud.drivers.on("local")
    hypervisor, store = drivers.hypervisor, drivers.volume
    if not isinstance(hypervisor, FakeHypervisor) or not isinstance(store, FakeVolumeStore):
        return
    places = (
        ("old-web", "qcow2", 2048, 2, True),
        ("mail-2019", "raw", 4096, 2, True),
        ("print-server", "qcow2", 1024, 1, False),
    )
    for number, (name, kind, memory, vcpus, running) in enumerate(places):
        path = f"/var/lib/libvirt/images/{name}.{'img' if kind == 'raw' else kind}"
        store.world.files[path] = FakeFile(kind, 20 * GIB, f"found:{name}")
        disk = DiskSpec("vda", path, format="raw" if kind == "raw" else "qcow2", cache="writeback")
        uuid = f"6a6f1f2e-6a0f-4ac9-9f43-{number:012d}"
        card = NicSpec(f"52:54:00:1c:0e:{number:02d}", "", bridge="br0")
        hypervisor.define(
            DomainSpec(uuid, name, "", memory, vcpus, "tcg", disks=(disk,), nics=(card,), autostart=running)
        )
        if running:
            hypervisor.start(uuid)
    cloud.engine.nudge("host.find_machines", Subject("host", "local", "local"))


class Batch:
    """Rows of some instances, table by table, written at once; the fakes' worlds are filled on the way."""

    def __init__(self, cloud: Cloud, session: Session, chance: random.Random) -> None:
        self.session = session
        self.chance = chance
        self.project = default_project(session)
        self.host = session.scalars(sa.select(Host)).one()
        self.pool = session.scalars(sa.select(Pool)).one()
        self.images = list(session.scalars(sa.select(Image).where(Image.kind == "disk").order_by(Image.name)))
        self.layers = {row.id: row for row in session.scalars(sa.select(Layer))}
        self.flavors = list(session.scalars(sa.select(Flavor).order_by(Flavor.memory_mib).limit(4)))
        owned = Network.project_id == self.project.id
        self.network = session.scalars(sa.select(Network).where(owned)).first()
        self.subnet = None
        if self.network is not None:
            self.subnet = session.scalars(sa.select(Subnet).where(Subnet.network_id == self.network.id)).first()
        mine = SecurityGroup.project_id == self.project.id
        self.group = session.scalars(sa.select(SecurityGroup).where(mine)).first()
        self.drivers = cloud.drivers
        self.rows: dict[Any, list[dict[str, Any]]] = {}

    def put(self, table: Any, **values: Any) -> None:
        """Note a row."""
        self.rows.setdefault(table, []).append(values)

    def add(self, n: int) -> None:
        """One instance with everything that belongs to it."""
        image, flavor = self.chance.choice(self.images), self.chance.choice(self.flavors)
        running = self.chance.random() < 0.8
        made = datetime.now(UTC) - timedelta(minutes=self.chance.randrange(60 * 24 * 90))
        identifier = new_id("ins")
        name = f"{self.chance.choice(NAMES)}-{n:05d}"
        self.put(
            Instance, id=identifier, uuid=as_uuid(identifier), project_id=self.project.id, name=name,
            host_id=self.host.id, state="running" if running else "stopped", reason="booted" if running else "user",
            vcpus=flavor.vcpus, memory_mib=flavor.memory_mib, flavor_id=flavor.id, flavor_name=flavor.name,
            image_id=image.id, image_name=image.name, hostname=f"host-{n:05d}", default_user=image.default_user,
            tags=self.chance.sample(TAGS, self.chance.randrange(3)), agent=running, created_at=made, updated_at=made,
            boot_id=self.host.boot_id if hasattr(self.host, "boot_id") else "", started_at=made if running else None,
            running_vcpus=flavor.vcpus if running else None, running_memory_mib=flavor.memory_mib if running else None,
        )  # fmt: skip
        self.put(
            Allocation, id=new_id("hal"), host_id=self.host.id, owner=identifier, vcpus=flavor.vcpus,
            memory_mib=flavor.memory_mib,
        )  # fmt: skip
        disk, cards = self._disk(identifier, name, image, flavor), self._port(identifier, n, running=running)
        spec = DomainSpec(
            uuid=as_uuid(identifier), name=identifier, title=name, memory_mib=flavor.memory_mib, vcpus=flavor.vcpus,
            accel="tcg", disks=(disk,), nics=cards,
        )  # fmt: skip
        self._domain(spec, running=running)

    def _domain(self, spec: DomainSpec, *, running: bool) -> None:
        hypervisor = self.drivers.on(self.host.id).hypervisor
        if isinstance(hypervisor, FakeHypervisor):
            domain = FakeDomain(spec, Power.RUNNING if running else Power.STOPPED, live=spec if running else None)
            hypervisor.world.domains[spec.uuid] = domain

    def _disk(self, identifier: str, name: str, image: Image, flavor: Flavor) -> DiskSpec:
        volume, head = new_id("vol"), new_id("hed")
        path = f"{self.pool.path}/heads/{head}.qcow2"
        self.put(
            Volume, id=volume, project_id=self.project.id, pool_id=self.pool.id, name=f"{name}-root",
            size_bytes=max(flavor.disk_bytes, image.min_disk_bytes), state="available",
        )  # fmt: skip
        self.put(Head, id=head, volume_id=volume, layer_id=image.layer_id, path=path, state="current")
        self.put(
            Attachment, id=new_id("att"), volume_id=volume, instance_id=identifier, instance_name=name, slot="vda",
            bus="virtio", boot_order=1, readonly=False, serial="",
        )  # fmt: skip
        store = self.drivers.on(self.host.id).volume
        if isinstance(store, FakeVolumeStore) and image.layer_id:
            backing = self.layers[image.layer_id].path
            store.world.files[path] = FakeFile(
                "qcow2", max(flavor.disk_bytes, image.min_disk_bytes), head, backing=backing
            )
        return DiskSpec("vda", path, boot_order=1)

    def _port(self, identifier: str, n: int, *, running: bool) -> tuple[NicSpec, ...]:
        if self.network is None or self.subnet is None:
            return ()
        net = ipaddress.ip_network(self.subnet.cidr)
        place = n + 64
        address, port = str(net[place]), new_id("prt")
        mac = f"52:54:01:{n >> 16 & 255:02x}:{n >> 8 & 255:02x}:{n & 255:02x}"
        self.put(
            Port, id=port, project_id=self.project.id, network_id=self.network.id, subnet_id=self.subnet.id, name="",
            mac=mac, address=address, instance_id=identifier, device_index=0, hostname=f"host-{n:05d}",
            host_id=self.host.id, port_security=True, plugged=True, state="up" if running else "down",
        )  # fmt: skip
        self.put(Reservation, subnet_id=self.subnet.id, place=place, owner_kind="port", owner_id=port)
        groups: tuple[str, ...] = ()
        if self.group is not None:
            self.put(PortSecurityGroup, port_id=port, group_id=self.group.id)
            groups = (self.group.id,)
        self.drivers.network.apply_port(
            PortSpec(
                id=port, uuid=as_uuid(port), network_id=self.network.id, mac=mac, addresses=(address,),
                subnet_ids=(self.subnet.id,), groups=groups, host=self.host.name, hostname=f"host-{n:05d}",
            )
        )  # fmt: skip
        return (NicSpec(mac, as_uuid(port)),)

    def write(self) -> None:
        """Insert what was noted, parents first."""
        for table in (Instance, Allocation, Volume, Head, Attachment, Port, Reservation, PortSecurityGroup):
            if self.rows.get(table):
                self.session.execute(sa.insert(table), self.rows[table])
