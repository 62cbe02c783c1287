"""The operations of instances and flavors, as recipes of steps; and the watch on the hypervisors' nudges."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from yun.base.errors import YunError
from yun.base.log import logger
from yun.compute import steps
from yun.compute.model import State
from yun.compute.service.tending import nudged
from yun.drivers.hypervisor.port import Hypervisor
from yun.hosts.model import Host
from yun.network import steps as network
from yun.operations.engine import Engine
from yun.operations.flow import Op, operation, periodic
from yun.storage import steps as storage

log = logger(__name__)


@operation("instance.create")
def create(op: Op, instance_id: str, start: bool = True, floating_ip_id: str | None = None) -> Any:
    """Disk, network port, seed, definition, power."""
    plan = op.step(steps.begin_building, instance_id)
    for volume_id in plan["volumes"]:
        op.step(storage.make_volume, volume_id)
    for port_id in plan["ports"]:
        op.step(network.plug_port, port_id, plan["host_id"])
    if floating_ip_id is not None:
        op.step(network.apply_floating_ip, floating_ip_id)
    op.step(steps.write_seed, instance_id)
    op.step(steps.define, instance_id)
    if start:
        op.step(steps.power_on, instance_id, [State.BUILDING, ""])
    else:
        op.step(steps.finish_stopped, instance_id)
    return {"instance_id": instance_id}


@operation("instance.start")
def start(op: Op, instance_id: str) -> Any:
    """Definition as the rows say, then power."""
    was = op.step(steps.remember, instance_id)
    op.step(steps.redefine, instance_id)
    op.step(steps.power_on, instance_id, was)
    return {"instance_id": instance_id}


@operation("instance.stop")
def stop(op: Op, instance_id: str, seconds: float) -> Any:
    """Ask, press, cut."""
    was = op.step(steps.remember, instance_id)
    how = op.step(steps.power_off, instance_id, seconds, was)
    return {"instance_id": instance_id, "how": how}


@operation("instance.reboot")
def reboot(op: Op, instance_id: str, seconds: float) -> Any:
    """Off, definition as the rows say, on."""
    was = op.step(steps.remember, instance_id)
    how = op.step(steps.power_off, instance_id, seconds, was)
    op.step(steps.redefine, instance_id)
    op.step(steps.power_on, instance_id, [State.STOPPED, "user"])
    return {"instance_id": instance_id, "how": how}


@operation("instance.pause")
def pause(op: Op, instance_id: str) -> Any:
    """The vCPUs stand still."""
    op.step(steps.suspend, instance_id)
    return {"instance_id": instance_id}


@operation("instance.resume")
def resume(op: Op, instance_id: str) -> Any:
    """The vCPUs go on."""
    op.step(steps.go_on, instance_id)
    return {"instance_id": instance_id}


@operation("instance.rename")
def rename(op: Op, instance_id: str, values: dict[str, Any]) -> Any:
    """Another display name."""
    op.step(steps.edit, instance_id, values)
    return {"instance_id": instance_id}


@operation("instance.tag")
def tag(op: Op, instance_id: str, values: dict[str, Any]) -> Any:
    """Other tags."""
    op.step(steps.edit, instance_id, values)
    return {"instance_id": instance_id}


@operation("instance.update")
def update(op: Op, instance_id: str, values: dict[str, Any]) -> Any:
    """Other description or policies."""
    op.step(steps.edit, instance_id, values)
    return {"instance_id": instance_id}


@operation("instance.resize")
def resize(op: Op, instance_id: str, values: dict[str, Any]) -> Any:
    """Rows, and the definition that counts from the next start on."""
    op.step(steps.before_definition, instance_id)
    op.step(steps.have_size, instance_id, values)
    op.step(steps.redefine, instance_id)
    return {"instance_id": instance_id}


@operation("instance.delete")
def delete(op: Op, instance_id: str, seconds: float, trash_id: str, purge_at: str) -> Any:
    """Stop, undefine, unplug, and lay it into the trash; its disks stay attached to it. An instance whose creation was
    taken back meanwhile is gone already."""
    was = op.step(steps.remember, instance_id)
    if was[0] in ("", State.TRASHED):
        return {"instance_id": instance_id, "was": was[0]}
    plan = op.step(steps.parts, instance_id)
    op.step(steps.power_off, instance_id, seconds, was)
    op.step(steps.undefine, instance_id)
    for port_id in plan["ports"]:
        op.step(network.unplug_port, port_id)
    op.step(steps.release_kept, instance_id)
    op.step(steps.trash, instance_id, trash_id, purge_at, was)
    return {"instance_id": instance_id, "was": was[0]}


@operation("instance.purge")
def purge(op: Op, instance_id: str) -> Any:
    """Remove disks, ports and rows for good."""
    plan = op.step(steps.begin_purge, instance_id)
    if plan is None:
        return {"instance_id": instance_id}
    op.point_of_no_return()
    op.step(steps.remove_files, instance_id)
    for volume_id in plan["volumes"]:
        op.step(storage.purge_volume, volume_id)
    op.step(network.purge_ports, instance_id)
    op.step(steps.finish_purge, instance_id)
    return {"instance_id": instance_id}


@operation("instance.tend")
def tend(op: Op, instance_id: str) -> Any:
    """Look, write down what is news, and mend what the policy says. Nothing where nothing was news."""
    news = op.step(steps.look, instance_id)
    if not news:
        return None
    if news["define"]:
        op.step(steps.redefine, instance_id)
    if news["start"]:
        op.step(steps.redefine, instance_id)
        op.step(steps.bring_back, instance_id)
    return news


@periodic("instance.tend_all", every=30.0)
@operation("instance.tend_all")
def tend_all(op: Op) -> None:
    """Look at all machines at once, order a closer look at those that are not as their rows say."""
    for watch in WATCHES:
        watch.follow_all()
    op.step(steps.look_at_all)


@periodic("instance.sample", every=10.0)
@operation("instance.sample")
def sample(op: Op) -> None:
    """Measure what running machines use."""
    op.step(steps.measure)


@operation("instance.add_disk")
def add_disk(op: Op, instance_id: str, volume_id: str, place: dict[str, Any]) -> Any:
    """An empty volume, then as any other."""
    op.step(storage.begin_volume, volume_id)
    op.step(storage.make_volume, volume_id)
    op.step(steps.before_definition, instance_id)
    op.step(steps.put_in_place, volume_id, instance_id, place)
    effect = op.step(steps.plug_in, instance_id, volume_id)
    return {"volume_id": volume_id, "instance_id": instance_id, "effect": effect}


@operation("volume.attach")
def attach_volume(op: Op, volume_id: str, instance_id: str, place: dict[str, Any]) -> Any:
    """Rows, definition, and the running machine."""
    op.step(steps.before_definition, instance_id)
    op.step(steps.put_in_place, volume_id, instance_id, place)
    effect = op.step(steps.plug_in, instance_id, volume_id)
    return {"volume_id": volume_id, "instance_id": instance_id, "effect": effect}


@operation("volume.detach")
def detach_volume(op: Op, volume_id: str, instance_id: str, seconds: float) -> Any:
    """The running machine, rows, and definition."""
    op.step(steps.before_definition, instance_id)
    effect = op.step(steps.pull_out, instance_id, volume_id, seconds)
    op.step(steps.take_from_place, volume_id, instance_id)
    op.step(steps.redefine, instance_id)
    return {"volume_id": volume_id, "instance_id": instance_id, "effect": effect}


@operation("volume.grow")
def grow_volume(op: Op, volume_id: str, size_bytes: int) -> Any:
    """The guest, or the file, and the row."""
    effect = op.step(steps.grow_volume, volume_id, size_bytes)
    return {"volume_id": volume_id, "size_bytes": size_bytes, "effect": effect}


@operation("flavor.create")
def create_flavor(op: Op, values: dict[str, Any]) -> Any:
    """Offer a size."""
    return op.step(steps.make_flavor, values)


@operation("flavor.delete")
def delete_flavor(op: Op, flavor_id: str) -> Any:
    """Offer it no longer."""
    op.step(steps.withdraw_flavor, flavor_id)
    return {"flavor_id": flavor_id}


# ── the watch ──


class Watch:
    """Turns the nudges of every host's hypervisor into looks at instances. Holds no truth: a lost nudge costs time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.followed: list[Hypervisor] = []

    def follow_all(self) -> None:
        """Listen to every host's hypervisor that is not listened to yet."""
        try:
            with self.engine.database.read() as session:
                hosts = list(session.scalars(sa.select(Host.id)))
            for host_id in hosts:
                hypervisor = self.engine.drivers.on(host_id).hypervisor
                if hypervisor not in self.followed:
                    self.followed.append(hypervisor)
                    hypervisor.subscribe(self.nudge)
        except YunError as error:
            log.warning("cannot listen to all hypervisors yet: %s", error)

    def nudge(self, uuid: str) -> None:
        """A domain changed (all may have, for an empty ``uuid``): order a look. From a thread of the driver's."""
        try:
            with self.engine.database.read() as session:
                meant = nudged(session, uuid)
        except YunError as error:
            log.warning("nudge of %s lost: %s", uuid, error)
            return
        if meant is not None:
            kind, subject, arguments = meant
            self.engine.nudge(kind, subject, **arguments)


WATCHES: list[Watch] = []


def attach(engine: Engine) -> None:
    """Begin to watch: called once by the worker when the engine has started."""
    watch = Watch(engine)
    WATCHES.append(watch)
    watch.follow_all()
    watch.nudge("")
