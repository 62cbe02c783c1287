"""What a guest made of the image of network functions does in a fake machine: takes a configuration, tells of it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile


class FakeFunction:
    """``archive`` is the configuration in force (None: none yet), ``refuses`` what it says to the next ones instead of
    taking them, ``down`` the names of backends that do not answer."""

    def __init__(self) -> None:
        self.archive: bytes | None = None
        self.refuses = ""
        self.stands = False
        self.down: set[str] = set()

    def apply(self, archive: bytes) -> tuple[int, bytes]:
        """Exit code and output of taking a configuration."""
        if self.refuses:
            return 1, self.refuses.encode()
        self.archive, self.stands = archive, False
        return 0, b""

    def state(self) -> tuple[int, bytes]:
        """Exit code and output of telling."""
        if self.archive is None:
            return 0, b"function none\n"
        files = _files(self.archive)
        kind = files["kind"].strip()
        head = f"function {kind} {hashlib.sha256(self.archive).hexdigest()}\n"
        if self.stands:
            return 1, head.encode()
        told = {"firewall": _counters, "proxy": self._servers, "vpn": _peers}[kind](files)
        return 0, (head + told).encode()

    def _servers(self, files: dict[str, str]) -> str:
        lines = ["# pxname,svname,status,check_status,lastchg,scur,stot,req_tot,bin,bout"]
        lines.append("front,FRONTEND,OPEN,,,0,7,7,700,9000")
        for group, name in _servers_of(files["haproxy.cfg"]):
            status, check = ("DOWN", "L4CON") if name in self.down else ("UP", "L7OK")
            lines.append(f"{group},{name},{status},{check},42,0,3,,300,4000")
        return "\n".join(lines) + "\n"


def _files(archive: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive))) as tar:
        return {m.name: found.read().decode() for m in tar.getmembers() if (found := tar.extractfile(m))}


def _counters(files: dict[str, str]) -> str:
    names = re.findall(r'counter \w+ comment "(\w+)"', files["firewall.nft"])
    rules = [{"rule": {"comment": name, "expr": [{"counter": {"packets": 10 * n, "bytes": 840 * n}}]}}
             for n, name in enumerate(names, 1)]  # fmt: skip
    return json.dumps({"nftables": [{"metainfo": {"version": "1.0.6"}}, *rules]})


def _servers_of(text: str) -> list[tuple[str, str]]:
    found, group = [], ""
    for line in text.splitlines():
        if line.startswith("backend "):
            group = line.split()[1]
        elif line.startswith(" server "):
            found.append((group, line.split()[1]))
    return found


def _peers(files: dict[str, str]) -> str:
    keys = re.findall(r"^PublicKey = (\S+)", files["wg0.conf"], re.MULTILINE)
    return "".join(f"{key}\t203.0.113.7:40000\t0.0.0.0/0\t1767225600\t5120\t10240\toff\n" for key in keys)
