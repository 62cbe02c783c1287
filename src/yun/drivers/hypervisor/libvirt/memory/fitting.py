"""Whether a definition is of the same machine as a memory image: everything that its guest can see of it. Pure."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator

from yun.base.messages import Message, _
from yun.drivers.hypervisor.definition import SIZE, read_definition
from yun.drivers.hypervisor.libvirt.domain_xml.element import NAMESPACE

ALIASES = {"q35": "pc-q35-", "pc": "pc-i440fx-"}
IMPLICIT = {"watchdog itco", "memballoon virtio"}
"""What libvirt adds itself, some versions of it."""
BY_MODEL = ("video", "rng", "tpm", "watchdog", "panic", "memballoon", "sound", "vsock", "shmem", "filesystem", "iommu")


def difference(then: ET.Element, now: ET.Element) -> Message | None:
    """Why the machine of the definition ``now`` is not that of the image ``then``; None where it is."""
    if then.find("./devices/hostdev") is not None or now.find("./devices/hostdev") is not None:
        return _("a device of the host has no memory that could be kept")
    for what, old, new in _facts(then, now):
        if old != new:
            return changed(what, str(old), str(new))
    for what, had, has in (
        (_("disks"), _disks(then), _disks(now)), (_("network cards"), _cards(then), _cards(now)),
        (_("devices"), _devices(then), _devices(now)),
    ):  # fmt: skip
        gone, more = had - has, has - had
        if gone or more:
            return changed(what, _words(gone), _words(more))
    return None


def changed(what: Message, then: str, now: str) -> Message:
    """The reason in words."""
    return _(
        "it is of a machine with other {what}: {then}, not {now}", what=what, then=then or "–", now=now or "–",
    )  # fmt: skip


def _facts(then: ET.Element, now: ET.Element) -> Iterator[tuple[Message, object, object]]:
    yield _("accelerator"), then.get("type"), now.get("type")
    yield _("machine type"), _machine(then), _full(_machine(now), _machine(then))
    yield _("firmware"), _firmware(then), _firmware(now)
    yield _("memory size (MiB)"), round(memory_kib(then) / 1024), round(memory_kib(now) / 1024)
    yield _("most memory (MiB)"), round(kib(then.find("maxMemory")) / 1024), round(kib(now.find("maxMemory")) / 1024)
    yield _("number of vCPUs"), then.findtext("vcpu", "1").strip(), now.findtext("vcpu", "1").strip()
    yield _("processor model"), cpu_of(then), cpu_of(now)
    yield _("processor"), _cpu(then), _cpu(now)


def _machine(root: ET.Element) -> str:
    found = root.find("os/type")
    return found.get("machine", "") if found is not None else ""


def _full(alias: str, known: str) -> str:
    """An alias means whatever the image was taken with: that is what the machine goes on as."""
    return known if known.startswith(ALIASES.get(alias, "\0")) else alias


def _firmware(root: ET.Element) -> str:
    return read_definition(ET.tostring(root, encoding="unicode"), namespace=NAMESPACE).firmware


def _cpu(root: ET.Element) -> str:
    """Features and shape."""
    cpu = root.find("cpu")
    if cpu is None:
        return ""
    words = [f"{f.get('policy', 'require')} {f.get('name', '')}" for f in cpu.findall("feature")]
    shape = cpu.find("topology")
    if shape is not None:
        words.append("×".join(shape.get(n, "1") for n in ("sockets", "cores", "threads")))
    return ", ".join(sorted(words))


def _disks(root: ET.Element) -> Counter[str]:
    found: Counter[str] = Counter()
    for disk in root.iterfind("./devices/disk"):
        target = disk.find("target")
        if target is not None:
            kind = disk.get("device", "disk")
            found[f"{target.get('dev', '')} ({kind}, {target.get('bus', '')})"] += 1
    return found


def _cards(root: ET.Element) -> Counter[str]:
    models = [card.find("model") for card in root.iterfind("./devices/interface")]
    return Counter(model.get("type", "") if model is not None else "rtl8139" for model in models)


def _devices(root: ET.Element) -> Counter[str]:
    found: Counter[str] = Counter()
    for device in root.find("devices") or ():
        model = device.find("model")
        name = device.get("model") or (model.get("type") or model.get("name") if model is not None else "") or ""
        if device.tag in BY_MODEL:
            found[f"{device.tag} {name}".strip()] += name != "none"
        elif device.tag == "memory":
            found[f"memory {name} {round(kib(device.find('target/size')) / 1024)} MiB"] += 1
        elif device.tag == "channel":
            target = device.find("target")
            found[f"channel {target.get('name', '') if target is not None else ''}"] += 1
        elif device.tag in ("serial", "parallel"):
            found[device.tag] += 1
        elif device.tag == "controller" and device.get("type") == "scsi":
            found[f"controller scsi {device.get('index', '0')} {name}"] += 1
        elif device.tag == "input" and device.get("bus") != "ps2":
            found[f"input {device.get('type', '')} {device.get('bus', '')}"] += 1
    for name in IMPLICIT:
        del found[name]
    return +found


def _words(names: Counter[str]) -> str:
    return ", ".join(sorted(names.elements()))


def memory_kib(root: ET.Element) -> float:
    """What a machine is started with: libvirt's own number counts what can be plugged in later."""
    cells = root.findall("./cpu/numa/cell")
    if cells:
        return sum(int(c.get("memory", "0")) * SIZE[c.get("unit", "KiB").lower()] for c in cells)
    return kib(root.find("memory"))


def kib(element: ET.Element | None) -> float:
    """A size in KiB."""
    return int(element.text or 0) * SIZE[element.get("unit", "KiB").lower()] if element is not None else 0


def cpu_of(root: ET.Element) -> str:
    """The processor's model, or the mode where that chooses one."""
    cpu = root.find("cpu")
    return (cpu.findtext("model") or cpu.get("mode") or "").strip() if cpu is not None else ""
