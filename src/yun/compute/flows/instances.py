"""The operations of instances as recipes: create, power, change, delete, purge, tend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yun.compute import steps
from yun.compute.model import State
from yun.compute.steps.host_devices import release_devices
from yun.network import steps as network
from yun.network.steps import balancers
from yun.operations.flow import Op, operation
from yun.storage import steps as storage


@operation("instance.create")
def create(
    op: Op, instance_id: str, start: bool = True, floating_ip_id: str | None = None, copied: str = ""
) -> Any:
    """Disk, network port, seed, definition, power. ``copied`` is the layer of the image where the disk stands on
    nothing."""
    plan = op.step(steps.begin_building, instance_id)
    for volume_id in plan["volumes"]:
        if copied:
            op.step(steps.copy_base, volume_id, copied)
        else:
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
    """Off, definition as the rows say, on. One that does not come up again is off, and the operation failed."""
    was = op.step(steps.remember, instance_id)
    how = op.step(steps.power_off, instance_id, seconds, was)
    op.step(steps.redefine, instance_id)
    op.step(steps.power_on, instance_id, [State.STOPPED, "user", *was[2:]])
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
def rename(op: Op, instance_id: str, values: dict[str, Any], balanced: bool = False) -> Any:
    """Another display name."""
    op.step(steps.edit, instance_id, values)
    return {"instance_id": instance_id}


def _edit(op: Op, instance_id: str, values: dict[str, Any], balanced: bool) -> None:
    """What is written about the instance; its tags are also told to the network, where load balancers go by them:
    ``balanced`` says that some do, and follow."""
    tags = values.get("tags")
    if tags is not None and balanced:
        op.step(balancers.before_labels, instance_id, tags)
    op.step(steps.edit, instance_id, values)
    if tags is not None:
        before = op.step(balancers.label_ports, instance_id, tags)
        if balanced:
            op.step(balancers.follow_labels, instance_id, tags, before)


@operation("instance.tag")
def tag(op: Op, instance_id: str, values: dict[str, Any], balanced: bool = False) -> Any:
    """Other tags."""
    _edit(op, instance_id, values, balanced)
    return {"instance_id": instance_id}


@operation("instance.update")
def update(op: Op, instance_id: str, values: dict[str, Any], balanced: bool = False) -> Any:
    """Other description, tags or policies."""
    _edit(op, instance_id, values, balanced)
    return {"instance_id": instance_id}


@operation("instance.resize")
def resize(op: Op, instance_id: str, values: dict[str, Any], was: dict[str, Any] | None = None) -> Any:
    """Rows, the definition of the next start, and what the running machine takes at once; ``was`` is its size when it
    was asked for."""
    op.step(steps.before_hardware, instance_id)
    op.step(steps.have_size, instance_id, values, was)
    op.step(steps.redefine, instance_id)
    op.step(steps.take_live, instance_id)
    return {"instance_id": instance_id}


@operation("instance.delete")
def delete(
    op: Op, instance_id: str, seconds: float, trash_id: str, purge_at: str, also: Sequence[dict[str, Any]] = ()
) -> Any:
    """Stop, undefine, unplug, and lay it into the trash; its disks stay attached to it. An instance whose creation was
    taken back meanwhile is gone already. ``also`` are more of the same, by the same arguments."""
    done = _delete(op, instance_id, seconds, trash_id, purge_at)
    for other in also:
        _delete(op, **other)
    return done


def _delete(op: Op, instance_id: str, seconds: float, trash_id: str, purge_at: str) -> dict[str, Any]:
    was = op.step(steps.remember, instance_id)
    if was[0] in ("", State.TRASHED):
        return {"instance_id": instance_id, "was": was[0]}
    plan = op.step(steps.parts, instance_id)
    op.step(steps.power_off, instance_id, seconds, was)
    op.step(steps.undefine, instance_id)
    for port_id in plan["ports"]:
        op.step(network.unplug_port, port_id)
    op.step(steps.release_kept, instance_id)
    op.step(release_devices, instance_id)
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
def tend(op: Op, instance_id: str, delay: int = 0) -> Any:
    """Look, write down what is news, and mend what the policy says. Nothing where nothing was news."""
    news = op.step(steps.look, instance_id)
    back = op.step(steps.settle_removals, instance_id)
    if not news:
        return {"plugged_in_again": back} if back else None
    if news["define"]:
        op.step(steps.redefine, instance_id)
    if news["start"]:
        if delay:
            op.step(steps.wait, delay)
        op.step(steps.redefine, instance_id)
        op.step(steps.bring_back, instance_id)
    return news
