"""Instances as JSON values: rows joined with addresses, hosts and what is being done to them, without N+1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.messages import Message
from yun.compute import found as found_machines
from yun.compute import limits as io_limits
from yun.compute.media.model import CdDrive
from yun.compute.model import Adoption, Flavor, Instance, doing
from yun.compute.service.boot import boot_view
from yun.compute.service.change_disk import waiting_disks
from yun.compute.service.given import devices_of
from yun.compute.service.look import MOMENTS, VALUES
from yun.compute.service.metrics import latest, point
from yun.compute.service.resize import pending
from yun.hosts.model import Host
from yun.network.model import FloatingIp, Network, Port
from yun.network.service import places_of
from yun.operations.model import Operation, OperationKey
from yun.storage.model import Pool
from yun.storage.service import attachments_of
from yun.storage.spec import serial_of


def rendered(ctx: Context, rows: Sequence[Instance]) -> list[dict[str, Any]]:
    """Each row with ``addresses``, ``floating_ips``, ``host_name``, ``task`` (what is being done to it, or None) and
    ``pending`` (what waits for its next start)."""
    return completed(ctx, [{name: getattr(row, name) for name in VALUES} for row in rows])


def completed(ctx: Context, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The values of `list_values` made ready for JSON, with what `rendered` adds; they are changed in place."""
    ids = [item["id"] for item in items]
    ports = addresses(ctx.session, ids)
    floating = floating_ips(ctx.session, ids)
    doing = tasks(ctx.session, ids, ctx.locale)
    hosts = host_names(ctx.session)
    for item in items:
        identifier = item["id"]
        for name in MOMENTS:
            item[name] = item[name].isoformat() if item[name] else None
        item["host_name"] = hosts.get(item["host_id"], "")
        item["addresses"] = ports.get(identifier, [])
        item["floating_ips"] = floating.get(identifier, [])
        item["task"] = doing.get(identifier)
        item["pending"] = pending(item)
        del item["running_hardware"]
    return items


def detail(ctx: Context, row: Instance) -> dict[str, Any]:
    """One instance with its ports, disks, CD drives and devices of its host too; what can be started from has a
    ``turn`` in which starts try it, or None."""
    session, boot = ctx.session, boot_view(ctx, row)
    turns = {device["name"]: turn for turn, device in enumerate(boot["order"], start=1)}
    ports, disks, drives = ports_of(session, row.id), disks_of(session, row.id), drives_of(session, row.id)
    for thing in (*ports, *disks, *drives):
        thing["turn"] = turns.get(thing.get("slot", thing.get("mac")))
    item = rendered(ctx, [row])[0]
    item["pending"] += [
        {"field": f"{disk['slot']}.{disk['field']}", "now": disk["now"], "next": disk["next"]}
        for disk in waiting_disks(ctx, row)
    ]
    return {
        **item, "ports": ports, "disks": disks, "drives": drives, "outside": outside_cards(ctx, row), "boot": boot,
        "host_devices": given_devices(session, row.id),
    }  # fmt: skip


def addresses(session: Session, ids: Sequence[str]) -> dict[str, list[str]]:
    """Fixed addresses by instance, in the order of their ports."""
    query = sa.select(Port.instance_id, Port.address).where(Port.instance_id.in_(ids)).order_by(Port.device_index)
    return _gather(session, query)


def floating_ips(session: Session, ids: Sequence[str]) -> dict[str, list[str]]:
    """Floating addresses by instance."""
    query = (
        sa.select(Port.instance_id, FloatingIp.address)
        .join(FloatingIp, FloatingIp.port_id == Port.id)
        .where(Port.instance_id.in_(ids))
        .order_by(FloatingIp.id)
    )
    return _gather(session, query)


def _gather(session: Session, query: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for instance_id, address in session.execute(query):
        if address:
            found.setdefault(instance_id, []).append(address)
    return found


def host_names(session: Session) -> dict[str, str]:
    """The hosts' names by id."""
    return {str(identifier): str(name) for identifier, name in session.execute(sa.select(Host.id, Host.name))}


def tasks(session: Session, ids: Sequence[str], locale: str) -> dict[str, dict[str, Any]]:
    """What is being done to each instance now: its oldest open operation that a person would care about."""
    keys = {f"instance:{identifier}": identifier for identifier in ids}
    query = (
        sa.select(
            OperationKey.key, Operation.id, Operation.kind, Operation.state, Operation.progress,
            Operation.progress_text, Operation.title,
        )
        .join(Operation, Operation.seq == OperationKey.seq)
        .where(OperationKey.key.in_(keys), Operation.quiet.is_(False))
        .order_by(Operation.seq)
    )  # fmt: skip
    found: dict[str, dict[str, Any]] = {}
    for key, identifier, kind, state, progress, text, title in session.execute(query):
        found.setdefault(
            keys[key],
            {
                "operation_id": identifier, "kind": kind, "verb": kind.rpartition(".")[2], "state": state,
                "progress": progress, "doing": doing(kind).render(locale),
                "title": Message.from_json(title).render(locale),
                "text": Message.from_json(text).render(locale) if text else "",
            },
        )  # fmt: skip
    return found


def ports_of(session: Session, instance_id: str) -> list[dict[str, Any]]:
    """The instance's network cards with network and addresses."""
    query = (
        sa.select(Port, Network.name, FloatingIp.address)
        .join(Network, Network.id == Port.network_id)
        .outerjoin(FloatingIp, FloatingIp.port_id == Port.id)
        .where(Port.instance_id == instance_id)
        .order_by(Port.device_index)
    )
    return [
        {
            "id": port.id, "mac": port.mac, "address": port.address,
            "addresses": [address for _subnet, address in places_of(session, port, living=True)],
            "state": port.state, "model": port.model,
            "link_up": port.link_up, "waits": port.waits,
            "network_id": port.network_id, "network_name": network, "floating_ip": floating,
        }
        for port, network, floating in session.execute(query)
    ]  # fmt: skip


def disks_of(session: Session, instance_id: str) -> list[dict[str, Any]]:
    """The instance's disks in boot order."""
    disks = attachments_of(session, instance_id)
    named = sa.select(Pool.id, Pool.name).where(Pool.id.in_({disk.volume.pool_id for disk in disks}))
    pools: dict[str, str] = {row.id: row.name for row in session.execute(named)}
    return [
        {
            "volume_id": disk.volume.id, "name": disk.volume.name, "size_bytes": disk.volume.size_bytes,
            "used_bytes": disk.volume.used_bytes or None,
            "slot": disk.attachment.slot, "bus": disk.attachment.bus, "boot_order": disk.attachment.boot_order,
            "pool": pools[disk.volume.pool_id],
            "readonly": disk.attachment.readonly, "cache": disk.attachment.cache, "kept": disk.attachment.kept,
            "io": disk.attachment.io, "discard": disk.attachment.discard,
            "serial": disk.attachment.serial or serial_of(disk.volume.id),
            "limits": io_limits.rates(disk.attachment.limits),
            "limit_group": io_limits.group_of(disk.attachment.limits),
            "removal": disk.attachment.removal or None, "waits": disk.attachment.waits,
        }
        for disk in disks
    ]  # fmt: skip


def drives_of(session: Session, instance_id: str) -> list[dict[str, Any]]:
    """The instance's CD drives by slot; ``image_name`` is empty where nothing lies in one."""
    query = sa.select(CdDrive).where(CdDrive.instance_id == instance_id).order_by(CdDrive.slot)
    return [
        {
            "id": drive.id, "slot": drive.slot, "bus": drive.bus, "image_id": drive.image_id,
            "image_name": drive.image_name, "boot_order": drive.boot_order,
        }
        for drive in session.scalars(query)
    ]  # fmt: skip


def given_devices(session: Session, instance_id: str) -> list[dict[str, Any]]:
    """The devices of its host that the instance was given; those that are not ``present`` were pulled out."""
    return [
        {"id": row.id, "kind": row.kind, "address": row.address, "name": row.name, "vendor_id": row.vendor_id,
         "product_id": row.product_id, "present": row.present}
        for row in devices_of(session, instance_id)
    ]  # fmt: skip


def add_usage(ctx: Context, items: list[dict[str, Any]]) -> None:
    """Add ``usage`` to rendered instances: the newest measurement of each, or None."""
    newest = latest(ctx.session, [item["id"] for item in items], ctx.clock.now())
    for item in items:
        row = newest.get(item["id"])
        item["usage"] = point(row) if row else None


def show_flavor(row: Flavor) -> dict[str, Any]:
    """A flavor as JSON."""
    return {
        "id": row.id, "name": row.name, "vcpus": row.vcpus, "memory_mib": row.memory_mib, "disk_bytes": row.disk_bytes,
        "description": row.description, "created_at": row.created_at.isoformat(), "revision": row.revision,
    }  # fmt: skip


def outside_cards(ctx: Context, instance: Instance) -> list[dict[str, Any]]:
    """The cards that a machine which was taken over keeps outside of the cloud's networks; ``where`` in words."""
    came = ctx.session.get(Adoption, instance.id)
    cards = came.cards if came is not None else []
    return [
        {"mac": c["mac"], "kind": c["kind"], "source": c["source"], "model": c["model"],
         "where": found_machines.card_place(c).render(ctx.locale)}
        for c in cards
    ]  # fmt: skip
