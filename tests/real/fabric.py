"""A fabric for tests: some private hosts on two wires, one for management and one for tunnels, as one cloud has them.

Each host runs Open vSwitch and OVN's controller with packaged paths; OVN's databases and the cloud's rows live on the
first one. What runs there reaches the others' endpoints through the switchboard.
"""

from __future__ import annotations

import json
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.real.private_host import PrivateHost
from tests.real.spaces import SECONDS

UNDERLAY_MTU = 1500
SOUTHBOUND = "tcp:10.98.0.1:6642"

# Userspace tunnels need their address on a port of Open vSwitch itself; the kernel's take it from the plain card.
PREPARE = """
set -e
NAME=$1 NUMBER=$2 MTU=$3
ip link set em up; ip addr add 10.98.0.$NUMBER/24 dev em
ip link set et mtu $MTU up; ethtool -K et tx off >/dev/null
/usr/share/openvswitch/scripts/ovs-ctl start --system-id=$NAME --no-mlockall >/dev/null || true
if [ -e /sys/module/openvswitch ]; then DATAPATH=system CARD=et
else
  DATAPATH=netdev CARD=br-phy
  ovs-vsctl add-br br-phy -- set Bridge br-phy datapath_type=netdev fail_mode=standalone -- add-port br-phy et \
    -- set Interface br-phy mtu_request=$MTU
fi
ip addr add 10.99.0.$NUMBER/24 dev $CARD; ip link set $CARD up
# What the host asks to find the address from which it speaks to the world.
ip route add 192.0.2.0/24 dev $CARD
"""

FAR = """
set -e
ovs-vsctl set Open_vSwitch . external_ids:system-id=$1 external_ids:hostname=$1 external_ids:ovn-remote=$3 \
  external_ids:ovn-encap-type=geneve external_ids:ovn-encap-ip=10.99.0.$2 \
  external_ids:ovn-bridge-datapath-type=$([ -e /sys/module/openvswitch ] && echo system || echo netdev)
/usr/share/ovn/scripts/ovn-ctl start_controller >/dev/null
"""


class Fabric:
    """Hosts ``h1``, ``h2``… and their wires; ``mtu`` is that of the tunnels' wire."""

    def __init__(self, directory: Path, *, count: int = 2, mtu: int = UNDERLAY_MTU) -> None:
        self.directory, self.mtu = directory, mtu
        self.wires = PrivateHost("wires", directory / "wires")
        self.hosts: dict[str, PrivateHost] = {}
        self.background: list[subprocess.Popen[str]] = []
        self.switchboard = _Switchboard(str(directory / "switchboard"), self)
        threading.Thread(target=self.switchboard.serve_forever, name="switchboard", daemon=True).start()
        for wire in ("m", "t"):
            self.wires.run("ip", "link", "add", "name", f"wire-{wire}", "mtu", "9000", "type", "bridge")
            self.wires.run("ip", "link", "set", "dev", f"wire-{wire}", "up")
        for number in range(1, count + 1):
            self.hosts[f"h{number}"] = PrivateHost(f"h{number}", directory / f"h{number}")
            self._plug(number)
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._prepare, range(1, count + 1)))

    @property
    def far(self) -> list[str]:
        """Names of the hosts besides the first."""
        return list(self.hosts)[1:]

    def _plug(self, number: int) -> None:
        host = self.hosts[f"h{number}"]
        for wire in ("m", "t"):
            name = f"{wire}{number}"
            made = ["ip", "link", "add", "name", name, "mtu", "9000", "type", "veth", "peer", "name", f"e{wire}"]
            # Only the network of the wires is entered: the host's number counts outside.
            words = ["nsenter", "-t", str(self.wires.pid), "-n", *made, "netns", str(host.pid)]
            subprocess.run(words, check=True, timeout=SECONDS)
            self.wires.run("ip", "link", "set", "dev", name, "master", f"wire-{wire}", "up")

    def _prepare(self, number: int) -> None:
        name = f"h{number}"
        self.hosts[name].run("bash", "-c", PREPARE, "prepare", name, str(number), str(self.mtu))
        if number > 1:
            self.hosts[name].run("bash", "-c", FAR, "far", name, str(number), SOUTHBOUND)

    def see(self, module: str, *words: str, timeout: float = 200) -> dict[str, Any]:
        """What a module that ends in `fabric_room.play` prints when it runs on the first host."""
        switchboard, state = self.switchboard.server_address, self.directory / "state"
        said = self.hosts["h1"].run(
            sys.executable, "-m", module, str(state), str(switchboard), ",".join(self.far), *words, timeout=timeout
        )
        return dict(json.loads(said))

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run what the first host's program wants to have run on another host."""
        host = self.hosts[request["host"]]
        if not request["background"]:
            done = subprocess.run(
                host.enter(*request["argv"]), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                timeout=SECONDS,
            )  # fmt: skip
            return {"code": done.returncode, "out": done.stdout, "error": done.stderr}
        child = subprocess.Popen(host.enter(*request["argv"]), stdout=subprocess.PIPE, text=True)
        self.background.append(child)
        assert child.stdout is not None
        return {"code": 0, "out": child.stdout.readline(), "error": ""}

    def close(self) -> None:
        """Everything on the hosts ends, and the wires are gone."""
        for host in (*self.hosts.values(), self.wires):
            host.close()
        for child in self.background:
            child.wait(10)
            if child.stdout:
                child.stdout.close()
        self.switchboard.shutdown()
        self.switchboard.server_close()


class _Request(socketserver.StreamRequestHandler):
    server: _Switchboard

    def handle(self) -> None:
        request = json.loads(self.rfile.readline())
        try:
            answer = self.server.fabric.answer(request)
        except (subprocess.SubprocessError, OSError) as error:
            answer = {"code": 255, "out": "", "error": str(error)}
        self.wfile.write(json.dumps(answer).encode() + b"\n")


class _Switchboard(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str, fabric: Fabric) -> None:
        self.fabric = fabric
        super().__init__(path, _Request)


@contextmanager
def fabric(directory: Path, *, count: int = 2, mtu: int = UNDERLAY_MTU) -> Iterator[Fabric]:
    """A fabric for as long as the block runs."""
    made = Fabric(directory, count=count, mtu=mtu)
    try:
        yield made
    finally:
        made.close()
