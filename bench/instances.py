"""Creating machines through the API against the same made by hand with qemu-img and libvirt, in one run.

A creation ends when libvirt tells that the machine's QEMU runs, and begins when the API has accepted it; what the
request itself takes is a figure of its own. By hand it is overlay, defineXML and create of the same XML. Needs a
running cloud on this machine (`./up --no-hello`) and root. Run: python -m bench.instances [--json] [--count N]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import libvirt

from bench.report import Figure, median, show
from bench.ten_thousand import processor, resident
from yun.base.config import load
from yun.web.client import Client
from yun.web.command import Shell

CLOUD_AT_ONCE, RAW_THREADS = 20, 4


def option(name: str, otherwise: int) -> int:
    """A number from the command line."""
    return int(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else otherwise


def count() -> int:
    """How many machines one after another."""
    return option("--count", 20)


class Bench:
    """One cloud and one libvirt connection."""

    def __init__(self) -> None:
        self.client = Client.found(Shell(format="json", wait=False))
        self.started: dict[str, float] = {}
        self.news = threading.Condition()
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=follow, daemon=True).start()
        self.raw = libvirt.open(load().libvirt_uri)
        self.raw.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self.told, None)
        self.serial = uuid.uuid4().hex[:6]
        self.backing = ""

    def told(self, _conn: Any, domain: Any, event: int, _detail: int, _opaque: Any) -> None:
        """Libvirt says what became of a machine."""
        if event == libvirt.VIR_DOMAIN_EVENT_STARTED:
            with self.news:
                self.started[domain.name()] = time.perf_counter()
                self.news.notify_all()

    def running(self, identifier: str) -> float:
        """When the machine's QEMU began to run, by the bench's clock; waits for it."""
        with self.news:
            if not self.news.wait_for(lambda: identifier in self.started, 120):
                raise TimeoutError(identifier)
            return self.started[identifier]

    def submit(self, n: int) -> tuple[str, str]:
        """Ask for a machine; its id and its operation's."""
        body = {"name": f"bench-{self.serial}-{n}", "image": "tiny", "flavor": "tiny"}
        answer = self.client.send("POST", "/instances", json=body).json()
        return answer["id"], answer["operation"]["id"]

    def wait(self, operation: str) -> float:
        """Until an operation has ended well; when it did, by its own word: seconds since 1970."""
        while True:
            found = self.client.get(f"/operations/{operation}")
            if found["state"] not in ("queued", "running"):
                assert found["state"] == "succeeded", found
                return datetime.fromisoformat(found["finished_at"]).timestamp()
            time.sleep(0.05)

    def ask(self, path: str, body: dict[str, Any] | None) -> str:
        """Ask for something (for a deletion without a body) and wait for its end; the id of what was made, if any."""
        method = "DELETE" if body is None else "POST"
        answer = self.client.send(method, path, json=body).json()
        self.wait(answer["operation"]["id"])
        return str(answer.get("id", ""))

    def done(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        """The same; the operation's result."""
        method = "DELETE" if body is None else "POST"
        operation = self.client.send(method, path, json=body).json()["operation"]["id"]
        self.wait(operation)
        found: dict[str, Any] = self.client.get(f"/operations/{operation}")
        return found.get("result") or {}

    def one(self, n: int) -> tuple[float, float, str]:
        """Seconds of the request, from its acceptance to the running QEMU, and the machine."""
        begun = time.perf_counter()
        identifier, operation = self.submit(n)
        accepted = time.perf_counter()
        running = self.running(identifier)
        self.wait(operation)
        return accepted - begun, running - accepted, identifier

    def many(self, start: int, amount: int) -> tuple[float, list[str]]:
        """Seconds from the first request until the last of ``amount`` machines runs."""
        begun = time.perf_counter()
        asked = [self.submit(start + n) for n in range(amount)]
        last = max(self.running(identifier) for identifier, _operation in asked)
        for _identifier, operation in asked:
            self.wait(operation)
        return last - begun, [identifier for identifier, _operation in asked]

    def remove(self, identifiers: list[str]) -> None:
        """Delete machines for good."""
        for identifier in identifiers:
            done = self.client.send("DELETE", f"/instances/{identifier}?force=true").json()
            self.wait(done["operation"]["id"])
            done = self.client.send("POST", f"/instances/{identifier}/purge").json()
            self.wait(done["operation"]["id"])

    def make_room(self) -> None:
        """Let the hosts promise as many vCPUs as the machines at once need."""
        for host in self.client.items("/hosts"):
            more = max(host["cpu_overcommit"], 4.0 * CLOUD_AT_ONCE / host["cpus"])
            self.client.send("PATCH", f"/hosts/{host['id']}", json={"cpu_overcommit": more, "memory_overcommit": 2.0})

    def template(self, identifier: str) -> ET.Element:
        """The XML of a machine of the cloud, for making the same by hand."""
        row = self.client.get(f"/instances/{identifier}")
        root = ET.fromstring(self.raw.lookupByUUIDString(row["uuid"]).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        disk = root.find("devices/disk[@device='disk']/source")
        assert disk is not None
        self.backing = overlay_base(disk.attrib["file"])  # now, while the machine is there
        seed = root.find("devices/disk[@device='cdrom']/source")
        if seed is not None:
            kept = Path(disk.attrib["file"]).with_name(f"raw-{self.serial}-seed.iso")
            shutil.copyfile(seed.attrib["file"], kept)
            seed.set("file", str(kept))
        return root

    def by_hand(self, template: ET.Element, n: int, folder: Path) -> tuple[float, Any]:
        """Seconds for overlay, define and create by hand, and the domain."""
        root = ET.fromstring(ET.tostring(template))
        head = folder / f"raw-{self.serial}-{n}.qcow2"
        disk = root.find("devices/disk[@device='disk']/source")
        assert disk is not None
        begun = time.perf_counter()
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", self.backing, "-F", "qcow2", head], check=True)
        disk.set("file", str(head))
        set_text(root, "uuid", str(uuid.uuid4()))
        set_text(root, "name", f"raw-{self.serial}-{n}")
        for parameters in root.iterfind("devices/interface/virtualport/parameters"):
            parameters.set("interfaceid", str(uuid.uuid4()))
        for mac in root.iterfind("devices/interface/mac"):
            mac.set("address", f"52:54:00:be:{n >> 8 & 255:02x}:{n & 255:02x}")
        for source in root.findall("devices/serial/source") + root.findall("devices/console/source"):
            source.set("path", f"{source.attrib['path']}.{n}")
        for log in root.findall("devices/serial/log") + root.findall("devices/console/log"):
            log.set("file", f"{log.attrib['file']}.{n}")
        domain = self.raw.defineXML(ET.tostring(root, encoding="unicode"))
        domain.create()
        return time.perf_counter() - begun, domain


def settle() -> None:
    """What was written is on the disk, so that no round pays for the one before."""
    os.sync()
    time.sleep(1)


def follow() -> None:
    """Deliver libvirt's events."""
    while True:
        libvirt.virEventRunDefaultImpl()


def overlay_base(path: str) -> str:
    """The frozen file that a head stands on."""
    import json

    text = subprocess.run(
        ["qemu-img", "info", "-U", "--output=json", path], check=True, capture_output=True, text=True
    ).stdout
    return str(json.loads(text)["full-backing-filename"])


def set_text(root: ET.Element, name: str, value: str) -> None:
    """Replace the text of a child."""
    found = root.find(name)
    assert found is not None
    found.text = value


def clear(domain: Any) -> None:
    """Destroy and forget a domain made by hand."""
    domain.destroy()
    domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)


def main() -> None:
    """Measure and print."""
    settings, bench = load(), Bench()
    pid = int((settings.state_dir / "serve.pid").read_text().split()[0])
    folder = settings.state_dir / "pool" / "heads"
    requests: list[float] = []
    ours: list[float] = []
    hand: list[float] = []
    template: ET.Element | None = None
    for n in range(count()):
        asked, took, identifier = bench.one(n)
        requests.append(asked)
        ours.append(took)
        template = template if template is not None else bench.template(identifier)
        bench.remove([identifier])
        took, domain = bench.by_hand(template, n, folder)
        hand.append(took)
        clear(domain)
    bench.make_room()
    together, machines = bench.many(1000, CLOUD_AT_ONCE)
    time.sleep(20)
    before = processor(pid)
    time.sleep(30)
    idle, memory = (processor(pid) - before) / 30 * 100, resident(pid)
    bench.remove(machines)
    assert template is not None
    base = template
    begun = time.perf_counter()
    with ThreadPoolExecutor(RAW_THREADS) as pool:
        made = list(pool.map(lambda n: bench.by_hand(base, n, folder)[1], range(2000, 2000 + CLOUD_AT_ONCE)))
    raw_together = time.perf_counter() - begun
    for domain in made:
        clear(domain)
    for head in folder.glob(f"raw-{bench.serial}-*"):
        head.unlink()
    show(
        "machines through the API and by hand",
        [
            Figure("the request, median", median(requests), "s"),
            Figure("accepted to running, median", median(ours), "s"),
            Figure("by hand, median", median(hand), "s"),
            Figure("ratio", median(ours) / median(hand), "x", 1.15),
            Figure("20 at once through the API", together, "s"),
            Figure("20 by hand with 4 threads", raw_together, "s"),
            Figure("ratio, 20 at once", together / raw_together, "x", 1.1),
            Figure("idle with 20 machines", idle, "% of core", 1.0),
            Figure("memory of the process", memory, "MiB", 150),
        ],
    )


if __name__ == "__main__":
    main()
