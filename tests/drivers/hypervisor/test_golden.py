"""Domain XML against its golden files: pairs `tests/golden/*.toml` → `*.xml`.

`YUN_GOLDEN=write` writes the right side anew; read the difference before you commit it.
"""

from __future__ import annotations

import os
import tomllib
import xml.etree.ElementTree as ET
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from yun.drivers.hypervisor.board import Board
from yun.drivers.hypervisor.host_device import HostDeviceSpec
from yun.drivers.hypervisor.libvirt.domain_xml import NAMESPACE, domain_xml
from yun.drivers.hypervisor.port import DiskSpec, DomainSpec, IoLimits, Kept, NicSpec

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
SPECS = sorted(GOLDEN.glob("*.toml"))


def load(path: Path) -> DomainSpec:
    raw = tomllib.loads(path.read_text())
    raw["disks"] = tuple(
        DiskSpec(**{**d, "limits": IoLimits(**d.get("limits", {}))}) for d in raw.get("disks", [])
    )
    raw["nics"] = tuple(NicSpec(**n) for n in raw.get("nics", []))
    raw["host_devices"] = tuple(HostDeviceSpec(**d) for d in raw.get("host_devices", []))
    if "kept" in raw:
        raw["kept"] = Kept(raw["kept"]["xml"], tuple(raw["kept"]["disks"]))
    board = raw.pop("board", {})
    board["pins"] = tuple(board.get("pins", ()))
    return DomainSpec(**raw, board=Board(**board))


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_the_spec_gives_exactly_its_golden_xml(path: Path) -> None:
    made = domain_xml(load(path))
    golden = path.with_suffix(".xml")
    if os.environ.get("YUN_GOLDEN") == "write":
        golden.write_text(made)
    assert made == golden.read_text()


def test_every_golden_xml_has_its_spec() -> None:
    assert {p.stem for p in GOLDEN.glob("*.xml")} == {p.stem for p in SPECS}


def _used() -> dict[type, list[Any]]:
    specs = [load(p) for p in SPECS]
    return {
        DomainSpec: specs,
        DiskSpec: [d for s in specs for d in s.disks],
        NicSpec: [n for s in specs for n in s.nics],
        Board: [s.board for s in specs],
        IoLimits: [d.limits for s in specs for d in s.disks],
        HostDeviceSpec: [d for s in specs for d in s.host_devices],
    }


KINDS = [DomainSpec, DiskSpec, NicSpec, Board, IoLimits, HostDeviceSpec]


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_every_field_and_every_choice_is_in_a_golden_file(kind: type) -> None:
    hints, missing = get_type_hints(kind), []
    for field in fields(kind):
        values = [getattr(thing, field.name) for thing in _used()[kind]]
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if all(value == default for value in values):
            missing.append(field.name)
        choices = [c for part in (hints[field.name], *get_args(hints[field.name])) for c in get_args(part)]
        literal = [c for c in choices if isinstance(c, str)]
        missing += [f"{field.name}={c}" for c in literal if c not in values]
    assert missing == []


def test_strange_text_survives_the_xml() -> None:
    spec = load(GOLDEN / "strange_text.toml")
    root = ET.fromstring(domain_xml(spec))
    assert root.findtext("title") == "云主机 <b>&\"';$(reboot)\ufffd / .. second line 🐧"
    assert root.findtext("description") == "two\nlines, <script>alert(1)</script> ]]> & \ufffd"
    assert root.find("devices/disk/source").get("file") == spec.disks[0].path
    values = root.findall(f"metadata/{{{NAMESPACE}}}domain/{{{NAMESPACE}}}value")
    assert {v.get("key"): v.text for v in values} == dict(spec.metadata)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a/b"},
        {"name": "云"},
        {"memory_mib": 0},
        {"vcpus": -1},
        {"serial_socket": "/" + "x" * 120},
        {"serial_log": "relative.log"},
        {"disks": (DiskSpec("vda", "/a"), DiskSpec("vda", "/b"))},
        {"disks": (DiskSpec("nvme0", "/a"),)},
        {"vcpus": 4, "board": Board(max_vcpus=2)},
        {"vcpus": 4, "board": Board(sockets=1, cores=3, threads=1)},
        {"vcpus": 4, "board": Board(pins=("0", "1"))},
        {"board": Board(memory_max_mib=1)},
        {"board": Board(serial_ports=0)},
    ],
    ids=str,
)
def test_a_spec_that_cannot_be_a_domain_is_refused(wrong: dict[str, Any]) -> None:
    good = load(GOLDEN / "minimal.toml")
    with pytest.raises(ValueError, match=r".+"):
        domain_xml(replace(good, **wrong))
