"""`yun doctor`: looks at this machine and this cloud, and gives each finding its remedy. Changes nothing."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from yun.base.config import Settings
from yun.base.errors import YunError
from yun.base.messages import Message, _
from yun.base.units import GIB, MIB, format_size
from yun.drivers.host import gateway, inventory, kvm, ovs
from yun.drivers.host.command import run
from yun.drivers.host.linux import LinuxMachine
from yun.hosts.model import ACCEL_REASONS, SERVICE_TITLES
from yun.setup import packages, process

Level = Literal["ok", "warning", "error"]
HYPERVISOR_USER = "libvirt-qemu"
SECRETS = ("root.token", "admin.password", "yun.db", "serve.env", "ssh/id_ed25519")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``remedy`` is empty where all is well."""

    topic: str
    level: Level
    text: Message
    remedy: Message | None = None


def examine(settings: Settings, machine: LinuxMachine | None = None) -> list[Finding]:
    """All findings, in the order in which they build on each other. A look that fails is itself a finding."""
    machine = machine or LinuxMachine(settings)
    looks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("system", _system),
        ("packages", _packages),
        ("kernel", _kernel),
        ("acceleration", lambda: _acceleration(settings, machine)),
        ("services", lambda: _services(machine)),
        ("network", lambda: _network(machine)),
        ("directory", lambda: _directory(settings)),
        ("disk", lambda: _disk(settings)),
        ("memory", lambda: _memory(machine)),
        ("port", lambda: _port(settings)),
        ("time", _time),
    ]
    found: list[Finding] = []
    for topic, look in looks:
        try:
            found += look()
        except YunError as error:
            found.append(Finding(topic, "error", error.message, error.hint))
        except OSError as error:
            text = _("could not be examined: {reason}", reason=str(error))
            found.append(Finding(topic, "warning", text, _("Run it as root: sudo yun doctor")))
    return found


def effective(settings: Settings) -> dict[str, str]:
    """The settings in force; what may hold a password is masked."""
    shown = {f.name: str(getattr(settings, f.name)) for f in fields(settings)}
    if "@" in shown["database_url"]:
        scheme, _mark, rest = shown["database_url"].partition("://")
        shown["database_url"] = f"{scheme}://…@{rest.rpartition('@')[2]}"
    return shown


def _system() -> Iterator[Finding]:
    release = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line
    )
    name = release.get("PRETTY_NAME", "?").strip('"')
    if (release.get("ID"), release.get("VERSION_ID", "").strip('"')) == ("debian", "12"):
        yield Finding("system", "ok", _("{name}, kernel {kernel}", name=name, kernel=os.uname().release))
    else:
        text = _("{name} is not the system Yun is made for", name=name)
        yield Finding("system", "warning", text, _("Use Debian 12."))
    if os.geteuid() == 0:
        yield Finding("system", "ok", _("run as root"))
    else:
        text = _("not run as root: some looks are not possible")
        yield Finding("system", "warning", text, Message("sudo yun doctor"))


def _packages() -> Iterator[Finding]:
    missing = packages.missing()
    if missing:
        names = " ".join(missing)
        text = _("distribution packages are missing: {names}", names=names)
        yield Finding("packages", "error", text, _("Run ./up, or: {command}", command=f"apt-get install {names}"))
    else:
        yield Finding("packages", "ok", _("all distribution packages are installed"))


def _kernel() -> Iterator[Finding]:
    if os.path.exists("/dev/net/tun"):
        yield Finding("kernel", "ok", _("network taps are possible (/dev/net/tun)"))
    else:
        text = _("/dev/net/tun is missing: no instance can have a network card")
        yield Finding("kernel", "error", text, _("Load the module: modprobe tun"))
    done = run(["nft", "list", "tables"], check=False)
    if done.returncode == 0:
        yield Finding("kernel", "ok", _("nftables answers"))
    else:
        text = _("nftables does not work: {reason}", reason=done.stdout.strip()[-200:])
        yield Finding("kernel", "error", text, _("Use a kernel with nf_tables, and run as root."))
    if os.path.isdir("/sys/fs/cgroup"):
        yield Finding("kernel", "ok", _("control groups are mounted"))
    else:
        text = _("control groups are not mounted: instances cannot be limited")
        yield Finding("kernel", "warning", text, _("Mount them, as systemd does at boot."))


def _acceleration(settings: Settings, machine: LinuxMachine) -> Iterator[Finding]:
    facts = machine.facts()
    reason = ACCEL_REASONS.get(facts.accel_reason, Message(facts.accel_reason))
    if facts.accel == "kvm":
        yield Finding("acceleration", "ok", _("KVM: {reason}", reason=reason))
    else:
        text = _("no KVM ({reason}): instances are emulated, correctly and slowly", reason=reason)
        remedy = _("Switch virtualisation on in the firmware, or in the settings of the virtual machine that this is.")
        yield Finding("acceleration", "warning", text, remedy)
    with suppress(OSError):
        made = os.stat(kvm.DEVICE)
        if made.st_gid == 0 and stat.S_IMODE(made.st_mode) & 0o060 == 0:
            text = _("/dev/kvm is closed to the group kvm: libvirt examines QEMU anew at every call, seconds each time")
            yield Finding("acceleration", "warning", text, Message("chgrp kvm /dev/kvm && chmod 660 /dev/kvm"))
    if version := machine.qemu_version():
        yield Finding("acceleration", "ok", Message(f"QEMU {version}"))
    if settings.accel == "kvm" and not os.path.exists(kvm.DEVICE):
        text = _("the setting accel says kvm, and there is no /dev/kvm")
        yield Finding("acceleration", "error", text, _("Set accel (YUN_ACCEL) to auto."))


def _services(machine: LinuxMachine) -> Iterator[Finding]:
    for found in machine.services():
        title = SERVICE_TITLES.get(found.name, Message(found.name))
        if found.state == "running":
            answers = (
                _("{service} answers, version {version}", service=title, version=found.version)
                if found.version
                else _("{service} answers", service=title)
            )
            yield Finding("services", "ok", answers)
        elif found.state == "missing":
            text = _("{service} is not installed", service=title)
            remedy = _("Run ./up, or: {command}", command=f"apt-get install {found.detail}")
            yield Finding("services", "error", text, remedy)
        elif found.state == "stopped":
            remedy = _("Run ./up, or start it on the host's page.")
            yield Finding("services", "error", _("{service} does not run", service=title), remedy)
        else:
            text = _("{service} runs (process {pid}) and does not answer", service=title, pid=found.pid or "?")
            remedy = _("Run ./up, which wakes or restarts it; instances go on running.")
            yield Finding("services", "error", text, remedy)


def _network(machine: LinuxMachine) -> Iterator[Finding]:
    kinds = {
        "system": _("Open vSwitch uses the kernel"),
        "netdev": _("the kernel has no Open vSwitch: packets are switched in user space, correctly and slower"),
    }
    yield Finding("network", "ok", kinds[machine.datapath])
    known = machine.gateway.applied()
    if not known:
        yield Finding("network", "ok", _("this host is not the gateway of an external network"))
        return
    if machine.gateway.in_place(known):
        text = _("gateway {address} of {cidr} is in place", address=known["address"], cidr=known["cidr"])
        yield Finding("network", "ok", text)
    else:
        text = _("address, forwarding or rules of the gateway {address} are missing", address=known["address"])
        yield Finding("network", "error", text, _("yun serve puts them back within seconds; see whether it runs."))
    said = run(["nft", "list", "chain", "ip", "filter", "FORWARD"], check=False).stdout
    if "policy drop" in said:
        text = _("another firewall (chain FORWARD of table filter) drops what is forwarded")
        remedy = _("Let it accept forwarding from and to {bridge}.", bridge=ovs.BRIDGE)
        yield Finding("network", "warning", text, remedy)
    if gateway.addresses(ovs.BRIDGE) and not ovs.external_ids().get("ovn-remote"):
        yield Finding("network", "error", _("OVN's settings of this host are missing"), _("Run ./up."))


def _directory(settings: Settings) -> Iterator[Finding]:
    state = settings.state_dir
    if not state.is_dir():
        text = _("the state directory {path} does not exist", path=str(state))
        yield Finding("directory", "error", text, _("Run ./up, which makes it."))
        return
    closed = closed_directory(state)
    if closed is not None:
        text = _("{path} cannot be entered by {user}: no instance can open its disk", path=closed, user=HYPERVISOR_USER)
        yield Finding("directory", "error", text, Message(f"chmod o+x {closed}"))
    else:
        yield Finding("directory", "ok", _("{path} can be entered by the hypervisor", path=str(state)))
    for name in SECRETS:
        path = state / name
        with suppress(FileNotFoundError):
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o077:
                text = _("{path} can be read by others", path=str(path))
                yield Finding("directory", "error", text, Message(f"chmod 600 {path}"))


def closed_directory(path: Path) -> str | None:
    """The uppermost directory on the way to ``path`` that others may not enter, or None."""
    for directory in [*reversed(path.resolve().parents), path.resolve()]:
        if directory.exists() and not directory.stat().st_mode & stat.S_IXOTH:
            return str(directory)
    return None


def _disk(settings: Settings) -> Iterator[Finding]:
    there = next(p for p in (settings.state_dir, *settings.state_dir.parents) if p.exists())
    usage = shutil.disk_usage(there)
    free, whole = format_size(usage.free), format_size(usage.total)
    text = _("{free} of {all} free in {path}", free=free, all=whole, path=str(there))
    if usage.free < 2 * GIB or usage.free < usage.total // 50:
        remedy = _("Make room: empty the trash, delete what is not needed, or move state_dir to a larger disk.")
        yield Finding("disk", "error" if usage.free < 512 * MIB else "warning", text, remedy)
    else:
        yield Finding("disk", "ok", text)


def _memory(machine: LinuxMachine) -> Iterator[Finding]:
    facts = machine.facts()
    free, whole = format_size(facts.memory_free_mib * MIB), format_size(facts.memory_mib * MIB)
    text = _("{free} of {all} memory free", free=free, all=whole)
    if facts.memory_free_mib < 512:
        yield Finding("memory", "warning", text, _("Stop instances or other programs; an instance needs its memory."))
    else:
        yield Finding("memory", "ok", text)


def _port(settings: Settings) -> Iterator[Finding]:
    address = f"{settings.listen}:{settings.port}"
    serving = process.running(settings)
    taken = False
    with suppress(OSError), socket.create_connection((settings.listen, settings.port), timeout=2):
        taken = True
    if serving and taken:
        text = _("yun serve (process {pid}) listens on {address}", pid=serving.pid, address=address)
        yield Finding("port", "ok", text)
    elif serving:
        text = _("yun serve (process {pid}) runs and does not listen on {address}", pid=serving.pid, address=address)
        yield Finding("port", "error", text, _("See its log: {path}", path=str(process.log_file(settings))))
    elif taken:
        text = _("{address} is taken by another program", address=address)
        yield Finding("port", "error", text, _("Stop it, or choose another port with YUN_PORT."))
    else:
        yield Finding("port", "warning", _("yun serve does not run"), _("Start it with ./up."))


def _time() -> Iterator[Finding]:
    year = datetime.now(UTC).year
    remedy = _("Set the clock, and let a time service such as systemd-timesyncd or chrony keep it.")
    built = datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
    if datetime.now(UTC) < built:
        text = _("the clock is wrong: it says {year}", year=str(year))
        yield Finding("time", "error", text, remedy)
        return
    kept = inventory.clock_is_kept()
    if kept is False:
        # In a container the kernel's clock is kept, or not, by the machine around it: no more than a warning.
        yield Finding("time", "warning", _("the clock is plausible, but no time service keeps it in step"), remedy)
    elif kept:
        yield Finding("time", "ok", _("the clock is kept in step by a time service"))
    else:
        yield Finding("time", "ok", _("the clock is plausible"))
