"""Snapshots with memory, restores and forks through the API against libvirt's own calls, in one run on one machine.

How long a guest stands still is told by QEMU (stopped, resumed), for Yun and by hand alike. A restore lasts from the
request until the guest's agent answers, without the time that QEMU takes to go (``switch_off``); by hand it is an
overlay and ``restoreFlags`` of an edited image until the agent answers. Forks last from the request until all of them
run and have names of their own; their own memory is what Linux calls anonymous. Needs a running cloud on this machine
(`./up --no-hello`) and root. Run: python -m bench.snapshots [--json] [--mib N] [--count N]
"""

from __future__ import annotations

import subprocess
import threading
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import libvirt
import libvirt_qemu  # type: ignore[import-untyped]

from bench.instances import Bench, count, option, settle
from bench.report import Figure, median, show
from yun.base.config import load

MIB = option("--mib", 256)
ROUNDS = min(count(), 5)
RAW = (
    libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
    | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
)  # fmt: skip
LIVE, DISKS = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_LIVE, libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY


class Hand:
    """The same machine, by libvirt's calls alone."""

    def __init__(self, bench: Bench, domain: Any, folder: Path) -> None:
        self.bench, self.domain, self.folder = bench, domain, folder
        self.told: list[tuple[str, float]] = []
        self.lock = threading.Lock()
        libvirt_qemu.qemuMonitorEventRegister(bench.raw, domain, None, self.hear, None, 0)

    def hear(self, _conn: Any, _domain: Any, event: str, seconds: int, micros: int, *_rest: Any) -> None:
        """QEMU tells something."""
        with self.lock:
            self.told.append((event, seconds + micros / 1e6))

    def head(self) -> tuple[str, str, int]:
        """Slot, file and size of its first disk."""
        root = ET.fromstring(self.domain.XMLDesc(0))
        disk = root.find("devices/disk[@device='disk']")
        assert disk is not None
        source, target = disk.find("source"), disk.find("target")
        assert source is not None
        assert target is not None
        slot = target.attrib["dev"]
        return slot, source.attrib["file"], self.domain.blockInfo(slot)[0]

    def snapshot(self, n: int, memory: str, flags: int) -> tuple[float, float]:
        """Seconds of a snapshot, and milliseconds that its guest stood still."""
        slot, under, size = self.head()
        new = self.folder / f"raw-{self.bench.serial}-s{n}.qcow2"
        begun = time.perf_counter()
        subprocess.run(
            ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", under, "-F", "qcow2", new, str(size)], check=True
        )  # fmt: skip
        image = f"<memory snapshot='external' file='{memory}'/>" if memory else ""
        others = "".join(
            f"<disk name='{t.attrib['dev']}' snapshot='no'/>"
            for t in ET.fromstring(self.domain.XMLDesc(0)).iterfind("devices/disk/target") if t.attrib["dev"] != slot
        )  # fmt: skip
        disk = f"<disk name='{slot}' snapshot='external' type='file'><source file='{new}'/></disk>"
        with self.lock:
            self.told.clear()
        self.domain.snapshotCreateXML(f"<domainsnapshot>{image}<disks>{disk}{others}</disks></domainsnapshot>", flags)
        took = time.perf_counter() - begun
        time.sleep(0.3)
        with self.lock:
            stops = [at for event, at in self.told if event == "STOP"]
            ends = [at for event, at in self.told if event == "RESUME"]
        return took, (ends[-1] - stops[0]) * 1000 if stops and ends else 0.0

    def restore(self, memory: str, under: str, n: int) -> float:
        """Seconds from the call until the agent answers; the guest was destroyed before."""
        xml = self.bench.raw.saveImageGetXMLDesc(memory, libvirt.VIR_DOMAIN_SAVE_IMAGE_XML_SECURE)
        self.domain.destroy()
        begun = time.perf_counter()
        new = self.folder / f"raw-{self.bench.serial}-r{n}.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", under, "-F", "qcow2", new], check=True)
        root = ET.fromstring(xml)
        for disk in root.iterfind("devices/disk[@device='disk']"):
            source = disk.find("source")
            assert source is not None
            source.set("file", str(new))
            for below in disk.findall("backingStore"):
                disk.remove(below)
        self.bench.raw.restoreFlags(memory, ET.tostring(root, encoding="unicode"), libvirt.VIR_DOMAIN_SAVE_RUNNING)
        while True:
            try:
                libvirt_qemu.qemuAgentCommand(self.domain, '{"execute":"guest-ping"}', 2, 0)
                return time.perf_counter() - begun
            except libvirt.libvirtError:
                time.sleep(0.01)


def anonymous(name: str) -> int:
    """Bytes of memory that a machine's QEMU shares with nobody."""
    pid = Path(f"/run/libvirt/qemu/{name}.pid").read_text().strip()
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    return 0


def step(bench: Bench, operation: str, name: str) -> float:
    """Seconds that a step of an operation took."""
    from datetime import datetime

    for each in bench.client.get(f"/operations/{operation}")["steps"]:
        if each["name"].endswith(name):
            begun, ended = (datetime.fromisoformat(each[k]) for k in ("begun_at", "ended_at"))
            return (ended - begun).total_seconds()
    return 0.0


def answers(bench: Bench, identifier: str) -> None:
    """Wait until the machine's agent answers."""
    while not bench.client.get(f"/instances/{identifier}")["agent"]:
        time.sleep(0.02)


def taken(bench: Bench, instance: str, name: str, **wish: Any) -> tuple[float, float | None]:
    """Seconds of a snapshot through the API, and milliseconds that its guest stood still."""
    begun = time.perf_counter()
    body = {"instance": instance, "name": name, **wish}
    told = bench.done("/snapshots", body)
    return time.perf_counter() - begun, told["pause_ms"]


def main() -> None:
    """Measure and print."""
    bench = Bench()
    bench.make_room()
    folder = load().state_dir / "pool" / "heads"
    name = f"bench-{bench.serial}"
    made = bench.client.send(
        "POST", "/instances", json={"name": name, "image": "tiny", "flavor": "tiny", "memory_mib": MIB}
    ).json()
    instance = made["id"]
    bench.wait(made["operation"]["id"])
    answers(bench, instance)
    time.sleep(5)
    domain = bench.raw.lookupByName(instance)
    ours, pauses, disks, restores, forks, fork_pauses = [], [], [], [], [], []
    for n in range(ROUNDS):
        settle()
        took, pause = taken(bench, instance, f"{name}-m{n}", memory=True)
        ours.append(took)
        pauses.append(pause or 0.0)
        disks.append(taken(bench, instance, f"{name}-d{n}", quiesce=False)[0])
        settle()
        begun = time.perf_counter()
        done = bench.client.send("POST", f"/snapshots/{name}-m{n}/restore", json={"keep": False}).json()
        bench.wait(done["operation"]["id"])
        answers(bench, instance)
        whole = time.perf_counter() - begun
        restores.append(whole - step(bench, done["operation"]["id"], "switch_off"))
        settle()
        begun = time.perf_counter()
        told = bench.done("/snapshots/fork", {"instance": instance, "name": f"{name}-f{n}"})
        forks.append(time.perf_counter() - begun)
        fork_pauses.append(told["pause_ms"] or 0.0)
        own = anonymous(told["instance_ids"][0])
        bench.remove(told["instance_ids"])
    begun = time.perf_counter()
    many = bench.done("/snapshots/fork", {"instance": instance, "name": name + "-t{n}", "count": 10})
    ten = time.perf_counter() - begun
    bench.remove(many["instance_ids"])
    hand = Hand(bench, domain, folder)
    raw, raw_pauses, raw_disks, raw_restores = [], [], [], []
    for n in range(ROUNDS):
        settle()
        memory = f"{load().state_dir}/pool/seeds/raw-{bench.serial}-{n}.memory"
        _slot, under, _size = hand.head()
        took, pause = hand.snapshot(2 * n, memory, RAW | LIVE)
        raw.append(took)
        raw_pauses.append(pause)
        raw_disks.append(hand.snapshot(2 * n + 1, "", RAW | DISKS)[0])
        settle()
        raw_restores.append(hand.restore(memory, under, n))
        Path(memory).unlink()
    domain.destroy()
    bench.remove([instance])
    for left in folder.glob(f"raw-{bench.serial}-*"):
        left.unlink()
    show(
        f"snapshots, restores and forks of a guest with {MIB} MiB",
        [
            Figure("snapshot with memory, the guest stands still, median", median(pauses), "ms"),
            Figure("the same by hand with the live flag, median", median(raw_pauses), "ms"),
            Figure("ratio", median(pauses) / median(raw_pauses), "x", 1.1),
            Figure("snapshot with memory, request to end", median(ours), "s"),
            Figure("overlay and call by hand", median(raw), "s"),
            Figure("disks only, request to end", median(disks) * 1000, "ms"),
            Figure("overlay and call by hand", median(raw_disks) * 1000, "ms"),
            Figure("difference", (median(disks) - median(raw_disks)) * 1000, "ms", 40),
            Figure("restore with memory until the agent answers, but for switching off", median(restores), "s", 0.8),
            Figure("overlay and restore by hand until the agent answers", median(raw_restores), "s"),
            Figure("fork of one, request to end", median(forks), "s", 0.8),
            Figure("the guest stands still for it, median", median(fork_pauses), "ms"),
            Figure("10 forks at once, each", ten / 10, "s", 0.35),
            Figure("own memory of a fork", own / (1 << 20), "MiB", 45),
        ],
    )


if __name__ == "__main__":
    main()
