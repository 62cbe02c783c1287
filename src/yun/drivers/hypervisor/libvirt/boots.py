"""What a running domain's guest boots from when it restarts. libvirt tells it only to a QEMU that starts; QEMU itself
takes another order at any time, for the next reset."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.definition import boot_order, devices_by_name

INACTIVE = 2
NEVER = -1


def restart_order(domain: Any) -> tuple[str, ...]:
    """The devices by slot or MAC in the order that QEMU has now."""
    found = []
    for name, alias in _aliases(domain.XMLDesc(0)).items():
        turn = ask(domain, "qom-get", path=f"/machine/peripheral/{alias}", property="bootindex")
        if isinstance(turn, int) and turn >= 0:
            found.append((turn, name))
    return tuple(name for _turn, name in sorted(found))


def restart_as_defined(domain: Any) -> None:
    """QEMU has the order of the definition. First nobody has a turn, since no two may have the same."""
    aliases = _aliases(domain.XMLDesc(0))
    wanted = [name for name in boot_order(ET.fromstring(domain.XMLDesc(INACTIVE))) if name in aliases]
    turns = [(name, NEVER) for name in aliases] + [(name, turn) for turn, name in enumerate(wanted, start=1)]
    for name, turn in turns:
        path = f"/machine/peripheral/{aliases[name]}"
        ask(domain, "qom-set", path=path, property="bootindex", value=turn)


def _aliases(xml: str) -> dict[str, str]:
    """QEMU's names of the devices."""
    found = {}
    for name, element in devices_by_name(ET.fromstring(xml)).items():
        alias = element.find("alias")
        if alias is not None:
            found[name] = alias.get("name", "")
    return found


def ask(domain: Any, command: str, **arguments: object) -> Any:
    """QEMU's answer to a command of its own protocol."""
    import libvirt_qemu  # type: ignore[import-untyped]

    answer = json.loads(
        libvirt_qemu.qemuMonitorCommand(domain, json.dumps({"execute": command, "arguments": arguments}), 0)
    )
    if "error" in answer:
        reason = str(answer["error"].get("desc", ""))
        raise DriverError(_("The hypervisor refused: {reason}", reason=reason), private=str(arguments))
    return answer["return"]
