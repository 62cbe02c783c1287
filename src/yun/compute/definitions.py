"""The definitions of an instance as the expert sees them: what runs, what is next, and the difference."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import Any

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.messages import _
from yun.compute import hardware as parts
from yun.compute.model import LIVE, Instance
from yun.compute.spec import FIRMWARE, spec_of
from yun.drivers.hypervisor.libvirt.domain_xml import domain_xml, overlay
from yun.drivers.hypervisor.port import DomainSpec
from yun.network.service import ports_of
from yun.storage.service import Disk, attachments_of
from yun.storage.spec import serial_of


def definitions(ctx: Context, instance: Instance) -> dict[str, Any]:
    """``next`` is the domain XML of the next start, ``running`` that of what runs (empty where it is off) as its rows
    tell, ``difference`` the lines between them, ``overlay`` what was laid over it."""
    ctx.may("instance.xml")
    following = domain_xml(spec_of(ctx.session, instance, ctx.settings, once=True))
    running = domain_xml(_running(ctx, instance)) if instance.state in LIVE else ""
    lines = difflib.unified_diff(running.splitlines(), following.splitlines(), "running", "next", lineterm="", n=2)
    return {
        "next": following, "running": running, "difference": list(lines) if running else [],
        "overlay": parts.of(instance.hardware).overlay,
    }  # fmt: skip


def check_overlay(text: Any) -> str:
    """Extra XML as it is kept. Raises `Invalid` saying what it may hold."""
    try:
        overlay.check(text)
    except ValueError as error:
        raise Invalid(
            _("This XML cannot be laid over a machine: {reason}", reason=str(error)[:200]),
            fields={"overlay": _("elements such as {names}", names=", ".join(overlay.TOP))},
        ) from error
    return str(text).strip()


def _running(ctx: Context, instance: Instance) -> DomainSpec:
    running = instance.running_hardware
    spec = spec_of(ctx.session, instance, ctx.settings, order=running.get("boot_order", []))
    hardware = parts.of(running)
    disks = attachments_of(ctx.session, instance.id)
    kept = {d.attachment.slot: _ways(d) for d in disks}
    waits = {d.attachment.slot for d in disks if d.attachment.waits}
    waits |= {p.mac for p in ports_of(ctx.session, instance.id) if p.waits}
    return replace(
        spec, board=hardware.board(), machine=hardware.machine, vcpus=instance.running_vcpus or spec.vcpus,
        memory_mib=running.get("memory_mib") or spec.memory_mib,
        firmware=FIRMWARE.get(running.get("firmware", instance.firmware), "bios"),
        disks=tuple(
            replace(d, error_policy=hardware.disk_full, **kept.get(d.slot, {})) for d in spec.disks
            if d.slot not in waits
        ),
        nics=tuple(n for n in spec.nics if n.mac not in waits),
    )  # fmt: skip


def _ways(disk: Disk) -> dict[str, Any]:
    """How a running disk is read and written where its row says otherwise by now."""
    running = dict(disk.attachment.running)
    if "io" in running:
        running["io"] = running["io"] or None
    if "serial" in running:
        running["serial"] = running["serial"] or serial_of(disk.volume_id)
    return running
