"""Steps that tell the hypervisor and the guest what a machine is: seed, define, undefine."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import YunError
from yun.base.messages import _
from yun.compute import places
from yun.compute.cloud_init import GuestNic, Six, seed_files
from yun.compute.model import Instance
from yun.compute.service.given import devices_of
from yun.compute.spec import guest, spec_of
from yun.compute.steps.seeing import see_devices
from yun.compute.steps.shared import load, may_pass, notice_key, place
from yun.drivers.hypervisor.port import DomainSpec, Power
from yun.network.model import Port, Subnet
from yun.network.service import places_of, ports_of
from yun.operations.events import raise_notice
from yun.operations.flow import Op, step
from yun.operations.intent import Subject
from yun.storage.model import Pool
from yun.storage.spec import pool_path_of


def _guest_nics(session: Session, instance_id: str) -> list[GuestNic]:
    """Cards as the guest sets them up: by DHCP where the subnet has it, else with the port's own address."""
    return [_guest_nic(session, port) for port in ports_of(session, instance_id)]


def _guest_nic(session: Session, port: Port) -> GuestNic:
    nic = GuestNic(port.mac, four=False)
    for subnet_id, address in places_of(session, port, living=True):
        subnet = session.get_one(Subnet, subnet_id)
        placed = f"{address}/{ipaddress.ip_network(subnet.cidr).prefixlen}"
        servers, gateway = tuple(subnet.dns_servers), subnet.gateway or ""
        if subnet.ipv6_mode and nic.six is None:
            mode = subnet.ipv6_mode if subnet.dhcp else ""
            nic = replace(nic, six=Six(mode, placed, gateway, servers))
        elif not subnet.ipv6_mode and not nic.four:
            nic = replace(
                nic, four=True, dhcp=subnet.dhcp, address=placed, gateway=gateway, dns_servers=servers
            )
    return nic


def _seed_back(op: Op, output: Any, instance_id: str) -> None:
    remove_files.call(op, instance_id)


@step(undo=_seed_back)
def write_seed(op: Op, instance_id: str) -> str | None:
    """The seed that tells the guest who it is lies in the pool; its path."""
    with op.read() as session:
        row = load(session, instance_id)
        if not row.cloud_init:
            return None
        path = places.seed(pool_path_of(session, instance_id), instance_id)
        files = seed_files(guest(row, _guest_nics(session, instance_id)))
    op.drivers.on(row.host_id).volume.write_seed(path, files)
    return path


@step()
def remove_files(op: Op, instance_id: str) -> None:
    """What the machine had beside its disks is gone for good: seed, NVRAM, TPM, log. Precondition: undefined."""
    with op.read() as session:
        row = load(session, instance_id)
        # Every pool: one that its first disk has left may still hold a seed that the machine had open then.
        pools = list(session.scalars(sa.select(Pool.path).where(Pool.host_id == row.host_id)))
    drivers = op.drivers.on(row.host_id)
    for pool in pools:
        drivers.volume.delete(places.seed(pool, instance_id))
        drivers.volume.delete(places.nvram(pool, instance_id))
    drivers.hypervisor.discard_tpm(row.uuid)
    drivers.hypervisor.discard_log(places.serial_log(op.settings, instance_id))


def define_now(op: Op, instance_id: str) -> None:
    """The hypervisor's definition is as the rows say; what runs goes on."""
    _see_its_devices(op, instance_id)
    row, spec = defined(op, instance_id)
    op.drivers.on(row.host_id).hypervisor.define(spec)


def define_back(op: Op, instance_id: str) -> None:
    """For undos: the definition is as the rows say once more. Where the hypervisor refuses that for good, operators are
    told and nothing waits: what was taken back stays so, and each start writes the definition anew."""
    try:
        define_now(op, instance_id)
    except YunError as error:
        if may_pass(error):
            raise
        with op.write() as session:
            row = load(session, instance_id)
            raise_notice(
                session, notice_key(instance_id), subject=Subject("instance", row.id, row.name),
                message=_("The hypervisor refuses the definition of the instance {name}: {reason}", name=row.name,
                          reason=error.message),
                hint=error.hint or _("Mend the cause; its next start writes it anew."),
            )  # fmt: skip


def _see_its_devices(op: Op, instance_id: str) -> None:
    """A USB device has another number after each time it was plugged in: what is written into the definition is what
    the host says now."""
    with op.read() as session:
        row = load(session, instance_id)
        needed = bool(devices_of(session, instance_id))
    if needed:
        see_devices(op, row.host_id)


def defined(op: Op, instance_id: str) -> tuple[Instance, DomainSpec]:
    """The instance, and what the hypervisor is to know of it as the rows say."""
    with op.read() as session:
        row = load(session, instance_id)
        return row, spec_of(session, row, op.settings)


def undefine_now(op: Op, output: Any, instance_id: str) -> None:
    """The hypervisor forgets the machine; its power is cut if it runs."""
    row, hypervisor = place(op, instance_id)
    if hypervisor.state(row.uuid).power in (Power.RUNNING, Power.PAUSED):
        hypervisor.destroy(row.uuid)
    hypervisor.undefine(row.uuid)


@step(undo=undefine_now)
def define(op: Op, instance_id: str) -> None:
    """The hypervisor knows the machine for the first time."""
    define_now(op, instance_id)


@step()
def redefine(op: Op, instance_id: str) -> None:
    """The hypervisor's definition is what the rows say now."""
    define_now(op, instance_id)


def _define_again(op: Op, output: Any, instance_id: str) -> None:
    define_now(op, instance_id)


@step(undo=_define_again)
def undefine(op: Op, instance_id: str) -> None:
    """The hypervisor forgets the stopped machine. Undo defines it from the rows."""
    undefine_now(op, None, instance_id)
