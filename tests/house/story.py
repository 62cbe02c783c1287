"""A cloud on fakes for the tests of the house, one way to ask for every verb, and a picture of its whole state."""

from __future__ import annotations

import copy
import copyreg
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import event

from yun.base.config import Settings
from yun.base.context import SYSTEM, Actor, Context
from yun.base.db import Base
from yun.compute import service as compute
from yun.drivers.bundle import Drivers
from yun.first import prepare
from yun.hosts import service as hosts
from yun.hosts.service import Changes
from yun.identity import service as identity
from yun.identity.model import User
from yun.images import service as images
from yun.network import service as network
from yun.operations import service as operations
from yun.operations.intent import Intent
from yun.operations.model import Operation
from yun.seed import fill_images
from yun.storage import service as storage
from yun.worker import Cloud, build, fake_drivers

# A copied world gets locks of its own.
copyreg.pickle(type(threading.RLock()), lambda _old: (threading.RLock, ()))
copyreg.pickle(type(threading.Lock()), lambda _old: (threading.Lock, ()))

Ask = Callable[[Context], Intent]
IGNORED_TABLES = {
    "operation", "operation_key", "operation_step", "operation_subject", "event", "node", "periodic", "reply",
    "notice", "audit_entry", "instance_sample", "port_sample", "instance_guest", "network_function_state",
    "login_attempt", "web_session",
}  # fmt: skip
IGNORED_COLUMNS = {
    "host_allocation.id", "role_grant.id", "pool.capacity_bytes",
    "revision", "created_at", "updated_at", "started_at", "seen_at", "checked_at", "facts", "boot_id", "mended_at",
    "free_bytes", "used_bytes", "last_used_at", "reason", "agent", "taken_at", "pause_ms",
}  # fmt: skip


class Story:
    """One cloud and its fakes' worlds; `reopen` is a new process on the same database and worlds."""

    def __init__(self, settings: Settings, drivers: Drivers | None = None) -> None:
        self.settings = settings
        self.drivers = drivers or fake_drivers()
        self.cloud: Cloud = build(settings, self.drivers)

    @classmethod
    def begin(cls, settings: Settings) -> Story:
        """A cloud with its first rows, networks, pool and images."""
        made = cls(settings)
        made.cloud.database.create()
        prepare(made.cloud)
        fill_images(made.cloud)
        return made

    def copy(self, folder: Path) -> Story:
        """The same cloud at this moment, with worlds of its own, in another folder."""
        target = folder / "yun.db"
        with sqlite3.connect(str(self.cloud.database.url.database)) as source, sqlite3.connect(target) as copy_of:
            source.backup(copy_of)
        source.close()
        copy_of.close()
        local: Any = self.drivers.on("any")
        engine: Any = self.drivers.network
        drivers = fake_drivers()
        other: Any = drivers.on("any")
        other.hypervisor.world = copy.deepcopy(local.hypervisor.world)
        other.volume.world = copy.deepcopy(local.volume.world)
        other.machine.recordings = dict(local.machine.recordings)
        drivers.network.world = copy.deepcopy(engine.world)  # type: ignore[attr-defined]
        url = f"sqlite:///{target}"
        return Story(replace(self.settings, database_url=url), drivers)

    def reopen(self) -> Story:
        """The process died: another one takes over."""
        self.cloud.database.close()
        made = Story(self.settings, self.drivers)
        made.take_over()
        return made

    def take_over(self) -> None:
        """Whoever worked here before is gone."""
        with self.cloud.database.write() as session:
            session.execute(sa.update(Operation).where(Operation.node_id.is_not(None)).values(node_id="nod_dead"))

    def deaths(self, folder: Path) -> list[Story]:
        """Run to the end, and tell what a process finds that takes over from one killed before the first commit, the
        second, and so on: the database as it was last committed, and the worlds with all that was done since."""
        found: list[Story] = []

        def strike(_connection: sa.Connection) -> None:
            place = folder / f"death{len(found) + 1}"
            place.mkdir()
            found.append(self.copy(place))

        event.listen(self.cloud.database.engine, "commit", strike)
        try:
            self.cloud.engine.drain()
        finally:
            event.remove(self.cloud.database.engine, "commit", strike)
        return found

    def context(self, session: Any) -> Context:
        """The first administrator, in the first project."""
        user = session.scalars(sa.select(User).order_by(User.created_at)).first()
        actor = Actor("user", user.id, user.name, {"*": "admin"}) if user else SYSTEM
        project = identity.default_project(session)
        return Context(actor=actor, session=session, settings=self.settings, project_id=project.id)

    def ask(self, ask: Ask) -> str:
        """Submit; returns the operation's id."""
        with self.cloud.database.write() as session:
            ctx = self.context(session)
            return operations.submit(ctx, ask(ctx)).id

    def do(self, ask: Ask) -> Operation:
        """Submit and run everything; returns the operation as it ended."""
        identifier = self.ask(ask)
        self.cloud.engine.drain()
        return self.find(identifier)

    def find(self, identifier: str) -> Operation:
        """An operation."""
        with self.cloud.database.read() as session:
            return session.scalars(sa.select(Operation).where(Operation.id == identifier)).one()

    def picture(self) -> dict[str, Any]:
        """The whole state, rows and worlds, without what may differ between equal clouds (times, history)."""
        rows: dict[str, list[Any]] = {}
        with self.cloud.database.read() as session:
            for table in Base.metadata.sorted_tables:
                if table.name in IGNORED_TABLES:
                    continue
                columns = [
                    c
                    for c in table.columns
                    if c.name not in IGNORED_COLUMNS and f"{table.name}.{c.name}" not in IGNORED_COLUMNS
                ]
                found = [tuple(map(shown, row)) for row in session.execute(sa.select(*columns))]
                rows[table.name] = sorted(found)
        return {"rows": rows, "worlds": self.worlds()}

    def worlds(self) -> dict[str, Any]:
        """What the fakes hold."""
        local: Any = self.drivers.on("any")
        engine: Any = self.drivers.network
        world = local.hypervisor.world
        domains = {
            uuid: (
                repr(domain.spec), str(domain.power),
                domain.live and sorted((d.path, repr(d.limits)) for d in domain.live.disks),
                domain.live and sorted((n.mac, n.port_uuid, n.link_up) for n in domain.live.nics),
                domain.live and domain.restarts_from,
                domain.live and sorted(d.key for d in domain.live.host_devices),
            )
            for uuid, domain in sorted(world.domains.items())
        }  # fmt: skip
        return {
            "domains": domains, "tpms": dict(sorted(world.tpms.items())), "files": local.volume.world.snapshot(),
            "network": engine.world.snapshot(), "recordings": local.machine.captures(),
        }  # fmt: skip


def shown(value: Any) -> str:
    """A cell; that there is a moment matters, which one does not."""
    return "a moment" if isinstance(value, datetime) else repr(value)


def fresh_key() -> str:
    """A valid public key."""
    return Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def instance(name: str = "m1", **rest: Any) -> Ask:
    """Ask for an instance."""
    return lambda ctx: compute.create(ctx, compute.Wish(name=name, image="tiny", flavor="tiny", **rest))


def on(verb: Callable[..., Intent], name: str = "m1", **rest: Any) -> Ask:
    """Ask a verb of an instance."""
    return lambda ctx: verb(ctx, compute.get(ctx, name), **rest)


def rename(ctx: Context) -> Intent:
    """Ask for another name of the instance m1."""
    return compute.rename(ctx, compute.get(ctx, "m1"), "m2")


def group_rule(ctx: Context) -> Intent:
    """Ask to take the first rule of a group away."""
    group = network.get_group(ctx, "g1")
    return network.remove_rule(ctx, group, network.rules_of(ctx.session, group.id)[0].id)


def floating(ctx: Context) -> Any:
    """The first floating IP."""
    from yun.network.model import FloatingIp

    return ctx.session.scalars(sa.select(FloatingIp).where(FloatingIp.state != "trashed")).one()


def first_port(ctx: Context) -> Any:
    """The port of the instance m1."""
    return network.ports_of(ctx.session, compute.get(ctx, "m1").id)[0]


@dataclass(frozen=True)
class Scene:
    """How to ask for one kind of operation: what must be there first, and whether its success can be undone. One that
    ``grows`` leaves more behind each time that it is taken back and stands again."""

    ask: Ask
    first: tuple[Ask, ...] = ()
    undoable: bool = True
    grows: bool = False


USER = identity.NewUser(name="u1", password="long enough secret")
NEW_NET = network.NewNetwork(name="n1", subnet=network.NewSubnet(cidr="10.9.0.0/24"))
RULE = network.NewRule(direction="ingress", protocol="tcp", port_min=80, port_max=80)
MAKE_USER: Ask = lambda ctx: identity.create_user(ctx, USER)  # noqa: E731
MAKE_KEY: Ask = lambda ctx: identity.add_key(ctx, identity.NewKey(public_key=fresh_key(), name="k1"))  # noqa: E731
MAKE_NET: Ask = lambda ctx: network.create_network(ctx, NEW_NET)  # noqa: E731
MAKE_GROUP: Ask = lambda ctx: network.create_group(ctx, "g1")  # noqa: E731
MAKE_IP: Ask = network.allocate
MAKE_VOLUME: Ask = lambda ctx: storage.create_volume(ctx, name="v1", size_bytes=1 << 30)  # noqa: E731

SCENES: dict[str, Scene] = {
    "instance.create": Scene(instance()),
    "instance.start": Scene(on(compute.start), (instance(start=False),)),
    "instance.stop": Scene(on(compute.stop), (instance(),)),
    "instance.reboot": Scene(on(compute.reboot), (instance(),), undoable=False),
    "instance.pause": Scene(on(compute.pause), (instance(),)),
    "instance.resume": Scene(on(compute.resume), (instance(), on(compute.pause))),
    "instance.rename": Scene(rename, (instance(),)),
    "instance.tag": Scene(on(compute.tag, tags=["a", "b"]), (instance(),)),
    "instance.update": Scene(on(compute.update, description="数据库"), (instance(),)),
    "instance.resize": Scene(on(compute.resize, flavor="small"), (instance(),)),
    "instance.configure": Scene(on(compute.configure, video="virtio", pins=["0-1"]), (instance(),)),
    "instance.set_overlay": Scene(
        on(compute.set_overlay, text='<devices><sound model="ich9"/></devices>'), (instance(),)
    ),
    "instance.drop_pending": Scene(
        on(compute.drop_pending),
        (instance(), on(compute.configure, video="virtio"), on(compute.resize, flavor="small")),
    ),
    "instance.delete": Scene(on(compute.delete), (instance(),)),
    "instance.export": Scene(on(compute.export), (instance(start=False),), undoable=False),
    "instance.purge": Scene(on(compute.purge), (instance(), on(compute.delete)), undoable=False),
    "flavor.create": Scene(
        lambda ctx: compute.create_flavor(ctx, name="f1", vcpus=1, memory_mib=256, disk_bytes=1 << 30)
    ),
    "flavor.delete": Scene(lambda ctx: compute.delete_flavor(ctx, "small")),
    "host.update": Scene(lambda ctx: hosts.update(ctx, "localhost", Changes(cpu_overcommit=2.0))),
    "user.create": Scene(MAKE_USER),
    "user.update": Scene(lambda ctx: identity.update_user(ctx, "u1", display_name="张三"), (MAKE_USER,)),
    "user.disable": Scene(lambda ctx: identity.disable_user(ctx, "u1"), (MAKE_USER,)),
    "user.grant": Scene(lambda ctx: identity.grant_in_cloud(ctx, "u1", "reader"), (MAKE_USER,)),
    "project.create": Scene(lambda ctx: identity.create_project(ctx, name="p1")),
    "project.grant": Scene(lambda ctx: identity.grant_in_project(ctx, "default", "u1", "member"), (MAKE_USER,)),
    "key.create": Scene(MAKE_KEY),
    "network.create": Scene(MAKE_NET),
    "network.delete": Scene(lambda ctx: network.delete_network(ctx, network.get_network(ctx, "n1")), (MAKE_NET,)),
    "subnet.create": Scene(
        lambda ctx: network.create_subnet(
            ctx, network.get_network(ctx, "n1"), network.NewSubnet(cidr="10.10.0.0/24", name="s2")
        ),
        (MAKE_NET,),
    ),
    "subnet.delete": Scene(
        lambda ctx: network.delete_subnet(ctx, network.get_subnet(ctx, "s2")),
        (
            MAKE_NET,
            lambda ctx: network.create_subnet(
                ctx, network.get_network(ctx, "n1"), network.NewSubnet(cidr="10.10.0.0/24", name="s2")
            ),
        ),
    ),
    "security_group.create": Scene(MAKE_GROUP),
    "security_group.delete": Scene(lambda ctx: network.delete_group(ctx, network.get_group(ctx, "g1")), (MAKE_GROUP,)),
    "security_group.add_rule": Scene(
        lambda ctx: network.add_rule(ctx, network.get_group(ctx, "g1"), RULE), (MAKE_GROUP,)
    ),
    "security_group.remove_rule": Scene(group_rule, (MAKE_GROUP,)),
    "floating_ip.allocate": Scene(MAKE_IP),
    "floating_ip.associate": Scene(
        lambda ctx: network.associate(ctx, floating(ctx), first_port(ctx)), (instance(), MAKE_IP)
    ),
    "floating_ip.disassociate": Scene(
        lambda ctx: network.disassociate(ctx, floating(ctx)), (instance(floating_ip=True),)
    ),
    "floating_ip.release": Scene(lambda ctx: network.release(ctx, floating(ctx)), (MAKE_IP,)),
    "image.update": Scene(lambda ctx: images.update(ctx, images.get(ctx, "tiny"), description="小镜像")),
    "image.set_visibility": Scene(lambda ctx: images.set_visibility(ctx, images.get(ctx, "tiny"), "private")),
    "image.delete": Scene(lambda ctx: images.delete(ctx, images.get(ctx, "tiny"))),
    "key.delete": Scene(lambda ctx: identity.delete_key(ctx, "k1"), (MAKE_KEY,)),
    "user.enable": Scene(
        lambda ctx: identity.enable_user(ctx, "u1"), (MAKE_USER, lambda ctx: identity.disable_user(ctx, "u1"))
    ),
    "user.set_password": Scene(
        lambda ctx: identity.set_password(ctx, "u1", "another long secret"), (MAKE_USER,), undoable=False
    ),
    "user.revoke": Scene(
        lambda ctx: identity.revoke_in_cloud(ctx, "u1"),
        (MAKE_USER, lambda ctx: identity.grant_in_cloud(ctx, "u1", "reader")),
    ),
    "project.revoke": Scene(
        lambda ctx: identity.revoke_in_project(ctx, "default", "u1"),
        (MAKE_USER, lambda ctx: identity.grant_in_project(ctx, "default", "u1", "member")),
    ),
    "project.update": Scene(lambda ctx: identity.update_project(ctx, "default", description="第一个项目")),
    "project.delete": Scene(
        lambda ctx: identity.delete_project(ctx, "p1"), (lambda ctx: identity.create_project(ctx, name="p1"),)
    ),
    "profile.update": Scene(lambda ctx: identity.update_profile(ctx, display_name="管理员")),
    "token.create": Scene(lambda ctx: identity.create_token(ctx, identity.NewToken(name="t1"))[0]),
    "token.revoke": Scene(
        lambda ctx: identity.revoke_token(ctx, "t1"),
        (lambda ctx: identity.create_token(ctx, identity.NewToken(name="t1"))[0],),
        undoable=False,
    ),
    "pool.create": Scene(
        lambda ctx: storage.create_pool(ctx, name="p2", path=str(ctx.settings.state_dir / "pool2")), undoable=False
    ),
    "pool.update": Scene(lambda ctx: storage.update_pool(ctx, "default", storage.PoolChanges(overcommit=2.0))),
    "pool.delete": Scene(
        lambda ctx: storage.delete_pool(ctx, "p2"),
        (lambda ctx: storage.create_pool(ctx, name="p2", path=str(ctx.settings.state_dir / "pool2")),),
    ),
    "volume.purge": Scene(
        lambda ctx: storage.purge(ctx, storage.get_item(ctx, "v1")),
        (MAKE_VOLUME, lambda ctx: storage.delete_volume(ctx, storage.get_volume(ctx, "v1"))),
        undoable=False,
    ),
    "volume.attach": Scene(
        lambda ctx: compute.attach(ctx, storage.get_volume(ctx, "v1"), compute.get(ctx, "m1")),
        (instance(), MAKE_VOLUME),
    ),
    "volume.detach": Scene(
        lambda ctx: compute.detach(ctx, storage.get_volume(ctx, "v1")),
        (
            instance(), MAKE_VOLUME,
            lambda ctx: compute.attach(ctx, storage.get_volume(ctx, "v1"), compute.get(ctx, "m1")),
        ),
    ),
    "instance.add_disk": Scene(on(compute.add_disk, size_bytes=1 << 30), (instance(),)),
    "volume.grow": Scene(
        lambda ctx: compute.grow(ctx, storage.get_volume(ctx, "v1"), 2 << 30), (MAKE_VOLUME,), undoable=False
    ),
    "volume.change_bus": Scene(
        lambda ctx: compute.change_bus(ctx, storage.get_volume(ctx, "m1"), "sata"), (instance(start=False),)
    ),
    "volume.create": Scene(MAKE_VOLUME),
    "volume.delete": Scene(lambda ctx: storage.delete_volume(ctx, storage.get_volume(ctx, "v1")), (MAKE_VOLUME,)),
}

from tests.house import scenes_agent  # noqa: E402 (they are made of what stands above)

SCENES |= scenes_agent.SCENES
