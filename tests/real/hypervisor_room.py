"""A private host with libvirt and QEMU, as a room for the hypervisor's contract and its fault tests."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pycdlib

from tests.drivers.hypervisor.contract import Room, blank, until
from tests.real.private_host import PrivateHost
from yun.base.ids import new_id
from yun.drivers.hypervisor.libvirt import tpm
from yun.drivers.hypervisor.libvirt.driver import LibvirtHypervisor
from yun.drivers.hypervisor.port import DiskSpec, DomainSpec
from yun.images import builders

CACHE = Path(tempfile.gettempdir()) / "yun-test-images"


class LibvirtRoom(Room):
    """libvirtd, virtlogd and guests that nobody else sees; `close` ends them all.

    The daemons' files and sockets are private, disks and serial sockets lie in a folder both sides can reach.
    """

    checks_schema = True
    has_usb = Path("/sys/bus/usb/devices").exists()

    def __init__(self, *, timeout: float = 30.0) -> None:
        # QEMU's user must be able to pass: pytest's own folders are closed to everybody else.
        self.folder = Path(tempfile.mkdtemp(prefix="yun-hypervisor-"))
        self.folder.chmod(0o711)
        self.host = PrivateHost("hv", self.folder / "host")
        # The private /sys hides the control groups that libvirt finds in the table of mounts.
        (self.folder / "host/root/etc/libvirt/qemu.conf").write_text("cgroup_controllers = []\n")
        self.start_switch()
        self.start_daemons()
        self.uri = f"qemu:///system?socket=/proc/{self.host.pid}/root/run/libvirt/libvirt-sock"
        self.tpms = self.folder / "host/root" / tpm.STATES.relative_to("/")
        self.driver = LibvirtHypervisor(self.uri, timeout=timeout, tpm_states=self.tpms)
        self.booted = ""

    def start_switch(self) -> None:
        """Open vSwitch runs with the bridge that cards are plugged into; no engine tells it where packets go."""
        self.host.run(
            "sh", "-ec",
            "mkdir -p /run/openvswitch; cd /run/openvswitch;"
            "ovsdb-tool create /etc/openvswitch/conf.db /usr/share/openvswitch/vswitch.ovsschema;"
            "ovsdb-server --remote=punix:/run/openvswitch/db.sock --pidfile --log-file=/dev/null --detach;"
            "ovs-vsctl --no-wait init; ovs-vswitchd --pidfile --log-file=/dev/null --detach;"
            "ovs-vsctl --timeout=20 add-br br-int -- set Bridge br-int datapath_type=netdev",
        )  # fmt: skip

    def start_daemons(self) -> None:
        """virtlogd and libvirtd run and listen."""
        self.host.run("mkdir", "-p", "/run/libvirt", "/var/log/libvirt")
        if "virtlogd" not in self.host.run("ps", "-eo", "comm"):
            self.host.run("virtlogd", "-d")
        self.host.run("libvirtd", "-d")

    def libvirtd(self) -> int:
        """The process id of libvirtd inside the host."""
        return int(self.host.run("cat", "/run/libvirtd.pid"))

    def signal_libvirtd(self, number: signal.Signals) -> None:
        """Send libvirtd a signal; after a killing one it is gone when this returns."""
        pid = self.libvirtd()
        self.host.run("kill", f"-{number.value}", str(pid))
        if number in (signal.SIGKILL, signal.SIGTERM):
            until(lambda: not self._alive(pid), 10)

    def _alive(self, pid: int) -> bool:
        state = self.host.run("ps", "-o", "stat=", "-p", str(pid), check=False).strip()
        return bool(state) and not state.startswith("Z")

    def boot_tiny(self, **changes: object) -> str:
        """Start the tiny image; it has an agent and a serial console."""
        base = builders.build("tiny", CACHE, lambda: None)
        disk = self.folder / "tiny.qcow2"
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", "qcow2", str(disk)], check=True
        )
        made: dict[str, object] = {
            "memory_mib": 128,
            "disks": (
                DiskSpec("vda", str(disk), cache="unsafe"),
                DiskSpec("sdg", "", device="cdrom", bus="scsi", readonly=True, discard=False),
            ),
            "serial_socket": str(self.folder / "serial" / "tiny.sock"),
            "serial_log": str(self.folder / "log" / "tiny.log"),
        }
        self.booted_spec = self.spec(**made | changes)
        self.booted = self.made(self.booted_spec, running=True)
        return self.booted

    def cd(self, word: str) -> str:
        """The path of a CD in our own format whose file ``word`` says the word."""
        raw, made = self.folder / f"{word}.iso", self.folder / f"{word}.qcow2"
        disc = pycdlib.PyCdlib()
        disc.new(interchange_level=3, rock_ridge="1.09")
        disc.add_fp(io.BytesIO(word.encode()), len(word), "/WORD.;1", rr_name="word")
        disc.write(str(raw))
        disc.close()
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(made)], check=True)
        return str(made)

    def spec(self, **changes: object) -> DomainSpec:
        return blank(**changes)

    def blank_disk(self, size: int, format: str = "qcow2") -> str:
        path = self.folder / f"{new_id('hed')}.{format}"
        subprocess.run(["qemu-img", "create", "-q", "-f", format, str(path), str(size)], check=True)
        return str(path)

    def head_on(self, path: str, size: int, format: str = "qcow2") -> str:
        head = self.folder / f"{new_id('hed')}.qcow2"
        under = ["-u", "-b", path, "-F", format]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *under, str(head), str(size)], check=True)
        return str(head)

    def backing_of(self, path: str) -> str:
        command = ["qemu-img", "info", "-U", "--output=json", path]
        told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        return str(told.get("backing-filename", ""))

    def tpm(self, uuid: str) -> str:
        kept = [p for p in (self.tpms / uuid).rglob("*") if p.suffix == ".permall"]
        for file in kept:
            owner = file.parent.stat()
            assert (file.stat().st_uid, file.stat().st_gid) == (owner.st_uid, owner.st_gid)
        return "".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in kept)

    def memory(self) -> str:
        return str(self.folder / f"{new_id('snp')}.memory")

    def cut_off(self, memory: str) -> None:
        with open(memory, "r+b") as file:
            file.truncate(Path(memory).stat().st_size - 1)

    def note(self, uuid: str, word: str) -> None:
        assert self.inside(uuid, f"mkdir -p /run/mem; mount -t tmpfs none /run/mem; echo {word} >/run/mem/word") == ""

    def noted(self, uuid: str) -> str:
        return self.inside(uuid, "cat /run/mem/word").strip()

    def inside(self, uuid: str, command: str) -> str:
        """What a command prints in a guest with an agent."""
        words = {"path": "/bin/sh", "arg": ["-c", command], "capture-output": True}
        started = self.driver.agent(uuid, "guest-exec", words)
        found: dict[str, Any] = {}
        until(lambda: found.update(self.driver.agent(uuid, "guest-exec-status", started)) or found["exited"])  # type: ignore[call-overload]
        return base64.b64decode(found.get("out-data", "")).decode()

    def crash(self, uuid: str) -> None:
        self.host.run("kill", "-9", self._qemu(uuid))

    def pull_plug(self, uuid: str) -> None:
        self.host.run("virsh", "-q", "destroy", uuid)

    def _qemu(self, uuid: str) -> str:
        name = self.host.run("virsh", "-q", "domname", uuid).strip()
        return self.host.run("cat", f"/run/libvirt/qemu/{name}.pid").strip()

    def close(self) -> None:
        self.driver.close()
        self.host.close()
        for _attempt in range(50):
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.folder.exists():
                return
            time.sleep(0.1)
