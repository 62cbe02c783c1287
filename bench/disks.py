"""Adding a disk to a running machine and taking it out, through the API and by hand with libvirt, in one run.

A change ends when libvirt tells that the device is there, or has gone: by then the guest has agreed. Through the API it
begins with the request. Both sides use the same guest and the same file. Needs a running cloud on this machine
(`./up --no-hello`) and root. Run: python -m bench.disks [--json] [--count N]
"""

from __future__ import annotations

import threading
import time
import xml.etree.ElementTree as ET
from typing import Any

import libvirt

from bench.instances import Bench, count
from bench.report import Figure, median, show

SIZE = 64 << 20
HOT = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG


class Devices:
    """When a machine got a device or lost one, as libvirt tells."""

    def __init__(self, connection: Any) -> None:
        self.news = threading.Condition()
        self.last: dict[str, float] = {}
        for event, word in (
            (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, "added"),
            (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, "removed"),
        ):
            connection.domainEventRegisterAny(None, event, self.told, word)

    def told(self, _conn: Any, _domain: Any, _alias: str, word: str) -> None:
        """Libvirt says that a device came or went."""
        with self.news:
            self.last[word] = time.perf_counter()
            self.news.notify_all()

    def after(self, word: str, begun: float) -> float:
        """Seconds from ``begun`` to the next device that came or went."""
        with self.news:
            if not self.news.wait_for(lambda: self.last.get(word, 0) > begun, 60):
                raise TimeoutError(word)
            return self.last[word] - begun


def through_the_api(bench: Bench, devices: Devices, volume: str, instance: str) -> tuple[float, float]:
    """Seconds to add the volume and to take it out."""
    begun = time.perf_counter()
    done = bench.client.send("POST", f"/volumes/{volume}/attach", json={"instance": instance}).json()
    added = devices.after("added", begun)
    bench.wait(done["operation"]["id"])
    begun = time.perf_counter()
    done = bench.client.send("POST", f"/volumes/{volume}/detach", json={}).json()
    removed = devices.after("removed", begun)
    bench.wait(done["operation"]["id"])
    return added, removed


def by_hand(devices: Devices, domain: Any, xml: str) -> tuple[float, float]:
    """The same with libvirt's own calls."""
    begun = time.perf_counter()
    domain.attachDeviceFlags(xml, HOT)
    added = devices.after("added", begun)
    begun = time.perf_counter()
    domain.detachDeviceFlags(xml, HOT)
    return added, devices.after("removed", begun)


def main() -> None:
    """Measure and print."""
    bench = Bench()
    devices = Devices(bench.raw)
    _asked, _took, instance = bench.one(0)
    row = bench.client.get(f"/instances/{instance}")
    domain = bench.raw.lookupByUUIDString(row["uuid"])
    made = bench.client.send(
        "POST", "/volumes", json={"name": f"bench-{bench.serial}-disk", "size_bytes": SIZE}
    ).json()  # fmt: skip
    bench.wait(made["operation"]["id"])
    time.sleep(15)  # the guest boots: before that it cannot agree to anything
    done = bench.client.send("POST", f"/volumes/{made['id']}/attach", json={"instance": instance}).json()
    bench.wait(done["operation"]["id"])
    found = ET.fromstring(domain.XMLDesc(0)).find("devices/disk/target[@dev='vdb']/..")
    assert found is not None
    for name in ("alias", "address", "backingStore"):
        for child in found.findall(name):
            found.remove(child)
    xml = ET.tostring(found, encoding="unicode")
    done = bench.client.send("POST", f"/volumes/{made['id']}/detach", json={}).json()
    bench.wait(done["operation"]["id"])
    ours, hand = [], []
    for _round in range(count()):
        ours.append(through_the_api(bench, devices, made["id"], instance))
        hand.append(by_hand(devices, domain, xml))
    bench.remove([instance])
    done = bench.client.send("DELETE", f"/volumes/{made['id']}").json()
    bench.wait(done["operation"]["id"])
    add, remove = (median([pair[n] for pair in ours]) * 1000 for n in (0, 1))
    raw_add, raw_remove = (median([pair[n] for pair in hand]) * 1000 for n in (0, 1))
    show(
        "disks of a running machine through the API and by hand",
        [
            Figure("add through the API, median", add, "ms"),
            Figure("add by hand, median", raw_add, "ms"),
            Figure("difference, add", add - raw_add, "ms", 60),
            Figure("remove through the API, median", remove, "ms"),
            Figure("remove by hand, median", raw_remove, "ms"),
            Figure("difference, remove", remove - raw_remove, "ms", 60),
        ],
    )


if __name__ == "__main__":
    main()
