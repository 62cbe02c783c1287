"""Moving a full disk of 1 GiB (or more) to another pool under a running machine, through the API and by blockCopy.

Through the API it begins with the request and ends with the operation: by then the machine writes to the copy, and the
old file is gone. By hand it is ``qemu-img create``, blockCopy, waiting until it is ready, the pivot and unlink, of
the same disk of the same machine, there and back. Needs a running cloud on this machine (`./up --no-hello`) and root.
Run: python -m bench.moves [--json] [--count N] [--gib N]
"""

from __future__ import annotations

import subprocess
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import libvirt

from bench.instances import Bench, count, option, settle
from bench.report import Figure, median, show
from yun.base.config import load

GIB = 1 << 30
SIZE = option("--gib", 1) * GIB
COPY = libvirt.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
NEXT = libvirt.VIR_DOMAIN_XML_INACTIVE
LOOK_SECONDS = 0.01


def place(domain: Any, slot: str, which: int = 0) -> str:
    """The file that the machine as it runs, or the `NEXT` one, has in a slot."""
    found = ET.fromstring(domain.XMLDesc(which)).find(f"devices/disk/target[@dev='{slot}']/../source")
    assert found is not None
    return found.attrib["file"]


def by_hand(domain: Any, slot: str, target: Path) -> float:
    """Seconds until the running machine uses the new file and the old one is gone."""
    begun = time.perf_counter()
    old = Path(place(domain, slot))
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", target, str(SIZE)], check=True)
    source = f"<disk type='file'><driver name='qemu' type='qcow2'/><source file='{target}'/></disk>"
    domain.blockCopy(slot, source, None, COPY)
    while 'ready="yes"' not in (xml := domain.XMLDesc(0)) and "ready='yes'" not in xml:
        time.sleep(LOOK_SECONDS)
    domain.blockJobAbort(slot, libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
    old.unlink()
    return time.perf_counter() - begun


def main() -> None:
    """Measure and print."""
    bench = Bench()
    folder = load().state_dir
    name = f"bench-{bench.serial}"
    bench.done("/pools", {"name": name, "path": str(folder / name)})
    _asked, _took, instance = bench.one(0)
    domain = bench.raw.lookupByUUIDString(bench.client.get(f"/instances/{instance}")["uuid"])
    bench.done(f"/instances/{instance}/stop?force=true", {})
    volume = bench.ask("/volumes", {"name": f"{name}-data", "size_bytes": SIZE})
    bench.done(f"/volumes/{volume}/attach", {"instance": instance})
    for start in range(0, SIZE, GIB):
        write = ["qemu-io", "-f", "qcow2", "-c", f"write -P 90 {start} {GIB}", place(domain, "vdb", NEXT)]
        subprocess.run(write, check=True, capture_output=True)
    bench.done(f"/instances/{instance}/start", {})
    time.sleep(15)  # the guest boots: before that it would share the processors with the copy
    ours, hand = [], []
    for number in range(min(count(), 4)):
        settle()
        begun = time.time()
        body = {"pool": name if number % 2 == 0 else "default"}
        moved = bench.client.send("POST", f"/volumes/{volume}/move", json=body).json()
        ours.append(bench.wait(moved["operation"]["id"]) - begun)
        home = Path(place(domain, "vdb"))
        away = home.with_name(f"raw-{bench.serial}.qcow2")
        for target in (away, home):
            settle()
            hand.append(by_hand(domain, "vdb", target))
    bench.remove([instance])
    bench.done(f"/volumes/{volume}", None)
    show(
        f"a full disk of {SIZE // GIB} GiB moves under a running machine",
        [
            Figure("through the API, request to end, median", median(ours), "s"),
            Figure("create, blockCopy, pivot and unlink by hand, median", median(hand), "s"),
            Figure("ratio", median(ours) / median(hand), "x", 1.1),
        ],
    )


if __name__ == "__main__":
    main()
