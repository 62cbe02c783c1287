"""What OVN's controller noted of rules: lines of its log file, read from the end."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from yun.drivers.host.port import Hit

LOG = Path("/var/log/ovn/ovn-controller.log")
MOST_BYTES = 8 << 20
LINE = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+)Z\|\d+\|acl_log[^|]*\|[A-Z]+\|"
    r'name="(?P<name>[^"]*)", verdict=(?P<verdict>\w+), severity=\w+, direction=(?P<direction>[\w-]+): (?P<flow>.*)'
)
PROTOCOLS = {"icmp6": "icmp", "tcp6": "tcp", "udp6": "udp", "ipv6": "ip"}


def read(names: Collection[str], since: datetime, file: Path = LOG) -> list[Hit]:
    """The hits under these names after ``since``, oldest first; none where there is no log."""
    try:
        with file.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(0, size - MOST_BYTES))
            lines = log.read(MOST_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return []
    return list(parse(lines, set(names), since))


def parse(lines: Iterable[str], names: Collection[str], since: datetime) -> Iterator[Hit]:
    """The hits that lines tell of."""
    for line in lines:
        found = LINE.match(line)
        if found is None or found["name"] not in names:
            continue
        at = datetime.fromisoformat(found["at"]).replace(tzinfo=UTC)
        if at <= since:
            continue
        protocol, *words = found["flow"].split(",")
        flow = dict(word.split("=", 1) for word in words if "=" in word)
        yield Hit(
            name=found["name"], at=at, allowed=found["verdict"].startswith("allow"),
            direction="ingress" if found["direction"] == "to-lport" else "egress",
            protocol=PROTOCOLS.get(protocol, protocol),
            source=flow.get("nw_src") or flow.get("ipv6_src", ""),
            target=flow.get("nw_dst") or flow.get("ipv6_dst", ""),
            source_port=_number(flow.get("tp_src")), target_port=_number(flow.get("tp_dst")),
        )  # fmt: skip


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None
