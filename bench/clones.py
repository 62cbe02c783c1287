"""Cloning machines through the API against the same made by hand with qemu-img and libvirt, in one run.

A linked clone ends when libvirt tells that the copy's QEMU runs, and begins when the API has accepted it; by hand it is
overlay, defineXML and create. How long a running source stands still is told by the guest: it writes and syncs all the
time, and the longest pause between two writes counts. A full clone of a machine with 1 GiB of data is compared with
``qemu-img convert`` of the same files. Needs a running cloud on this machine (`./up --no-hello`) and root.
Run: python -m bench.clones [--json] [--count N]
"""

from __future__ import annotations

import subprocess
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import libvirt

from bench.instances import CLOUD_AT_ONCE, RAW_THREADS, Bench, clear, count, settle
from bench.report import Figure, median, show
from yun.base.config import load

DATA = 1 << 30
ROUNDS = 3
WRITER = (  # no program is started for a line: only the shell's own words, and sync
    "rm -f /root/gaps; setsid sh -c 'while [ ! -e /root/end ]; do read up rest </proc/uptime; echo $up; sync; "
    "done >/root/gaps' >/dev/null 2>&1 &"
)


class Clones:
    """A source, and the ways to copy it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        _asked, _took, self.source = bench.one(0)
        self.template = bench.template(self.source)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask for something; the answer."""
        answer = self.bench.client.send("POST", path, json=body)
        found: dict[str, Any] = answer.json()
        return found

    def linked(self, n: int, amount: int = 1) -> tuple[float, list[str]]:
        """Seconds from the acceptance until the last copy runs, and the copies."""
        name = f"bench-{self.bench.serial}-c{n}"
        answer = self.post(f"/instances/{self.source}/clone", {"name": name, "count": amount})
        accepted = time.perf_counter()
        if amount == 1:
            last = self.bench.running(answer["id"])
        self.bench.wait(answer["operation"]["id"])
        made = self.bench.client.get(f"/operations/{answer['operation']['id']}")["result"]["instance_ids"]
        if amount > 1:
            last = max(self.bench.running(identifier) for identifier in made)
        return last - accepted, made

    def full(self, n: int) -> tuple[float, list[str]]:
        """Seconds of an independent copy that is not started, and the copy."""
        body = {"name": f"bench-{self.bench.serial}-full{n}", "full": True, "start": False}
        begun = time.time()
        answer = self.post(f"/instances/{self.source}/clone", body)
        return self.bench.wait(answer["operation"]["id"]) - begun, [answer["id"]]

    def files(self) -> list[str]:
        """The source's disks as the definition names them."""
        row = self.bench.client.get(f"/instances/{self.source}")
        root = ET.fromstring(self.bench.raw.lookupByUUIDString(row["uuid"]).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        return [s.attrib["file"] for s in root.iterfind("devices/disk[@device='disk']/source")]

    def convert(self, folder: Path, *more: str) -> tuple[float, float]:
        """Seconds of ``qemu-img convert`` for the same files, and the same until the results are on the disk: a clone
        that is told to be there must survive a power cut. With ``more`` it is told how."""
        files = self.files()
        targets = [folder / f"raw-{self.bench.serial}-full-{number}.qcow2" for number in range(len(files))]
        begun = time.perf_counter()
        for path, target in zip(files, targets, strict=True):
            subprocess.run(["qemu-img", "convert", "-U", *more, "-O", "qcow2", path, target], check=True)
        converted = time.perf_counter() - begun
        subprocess.run(["sync", *targets], check=True)
        safe = time.perf_counter() - begun
        for target in targets:
            target.unlink()
        return converted, safe

    def longest_pauses(self) -> tuple[list[float], float]:
        """Seconds that the running source's guest stood still in each of some clones, and without any."""
        self.in_guest(WRITER)
        spans, made = [], []
        time.sleep(3)
        for n in range(ROUNDS):
            begin = self.uptime()
            made += self.linked(900 + n)[1]
            spans.append((begin, self.uptime()))
            time.sleep(3)
        calm = (self.uptime() - 2.5, self.uptime())
        told = self.in_guest("touch /root/end; cat /root/gaps | tail -c 60000")
        moments = [float(line) for line in told.split()[1:]]
        self.bench.remove(made)

        def longest(begin: float, end: float) -> float:
            within = [m for m in moments if begin <= m <= end]
            assert len(within) > 10, (begin, end, moments[:3], moments[-3:])
            return max(b - a for a, b in pairwise(within))

        return [longest(*span) for span in spans], longest(*calm)

    def in_guest(self, words: str) -> str:
        """What a command prints inside the source."""
        told = self.bench.done(f"/instances/{self.source}/run", {"command": ["/bin/sh", "-c", words]})
        return str(told["stdout"])

    def uptime(self) -> float:
        """Seconds by the guest's own clock."""
        return float(self.in_guest("cut -d ' ' -f 1 /proc/uptime"))


def settled(bench: Bench, identifier: str) -> None:
    """Wait until the guest's agent answers."""
    while not bench.client.get(f"/instances/{identifier}")["agent"]:
        time.sleep(0.5)


def main() -> None:
    """Measure and print."""
    bench = Bench()
    bench.make_room()
    folder = load().state_dir / "pool" / "heads"
    clones = Clones(bench)
    settled(bench, clones.source)
    pauses, calm = clones.longest_pauses()
    bench.done(f"/instances/{clones.source}/stop?force=true", {})
    ours, hand = [], []
    for n in range(min(count(), 10)):
        took, made = clones.linked(n)
        ours.append(took)
        bench.remove(made)
        took, domain = bench.by_hand(clones.template, n, folder)
        hand.append(took)
        clear(domain)
    together, made = clones.linked(500, CLOUD_AT_ONCE)
    bench.remove(made)
    begun = time.perf_counter()
    with ThreadPoolExecutor(RAW_THREADS) as pool:
        numbers = range(2000, 2000 + CLOUD_AT_ONCE)
        domains = list(pool.map(lambda n: bench.by_hand(clones.template, n, folder)[1], numbers))
    raw_together = time.perf_counter() - begun
    for domain in domains:
        clear(domain)
    bench.done(
        f"/instances/{clones.source}/add-disk", {"size_bytes": DATA, "name": f"bench-{bench.serial}-data"}
    )  # fmt: skip
    data = clones.files()[-1]
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", f"write -P 90 0 {DATA}", data], check=True, capture_output=True)
    raw_full, safe_full, past_full, full = [], [], [], []
    for n in range(ROUNDS):
        settle()
        took, made = clones.full(n)
        full.append(took)
        bench.remove(made)
        settle()
        plain, safe = clones.convert(folder)
        raw_full.append(plain)
        safe_full.append(safe)
        settle()
        past_full.append(clones.convert(folder, "-t", "none")[1])
    bench.remove([clones.source])
    for head in folder.glob(f"raw-{bench.serial}-*"):
        head.unlink()
    show(
        "clones through the API and by hand",
        [
            Figure("linked clone of a stopped machine, accepted to running", median(ours), "s"),
            Figure("overlay, define and create by hand", median(hand), "s"),
            Figure("ratio", median(ours) / median(hand), "x", 1.15),
            Figure("a running source stands still, longest of 3 clones", max(pauses), "s", 0.25),
            Figure("the same without a clone", calm, "s"),
            Figure("20 linked clones in one request", together, "s"),
            Figure("20 by hand with 4 threads", raw_together, "s"),
            Figure("ratio, 20 at once", together / raw_together, "x", 1.1),
            Figure("full clone with 1 GiB of data", median(full), "s"),
            Figure("qemu-img convert of the same", median(raw_full), "s"),
            Figure("the same until it is on the disk", median(safe_full), "s"),
            Figure("ratio, full, to what is on the disk", median(full) / median(safe_full), "x", 1.05),
            Figure("ratio, full, to what is in memory", median(full) / median(raw_full), "x"),
            Figure("qemu-img convert -t none until it is on the disk", median(past_full), "s"),
            Figure("ratio, full, to that", median(full) / median(past_full), "x"),
        ],
    )


if __name__ == "__main__":
    main()
