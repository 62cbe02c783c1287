"""Commands in the network namespaces of private hosts: light endpoints, wherever they are.

A namespace is on this host unless `place` said that it is on another one; that one is reached through the fabric's
switchboard, a socket behind which the test's own process runs commands in every private host.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ENDPOINT = str(Path(__file__).with_name("endpoint.py"))
SECONDS = 30.0

_places: dict[str, str] = {}
_switchboard: list[str] = []


def use_switchboard(path: str) -> None:
    """Reach other hosts through the socket at ``path``."""
    _switchboard[:] = [path]


def place(space: str, host: str) -> None:
    """The namespace is on another host; on this one where ``host`` is empty."""
    _places[space] = host


def run(*words: str, check: bool = True) -> str:
    """A command's output."""
    return subprocess.run(words, check=check, capture_output=True, text=True, timeout=SECONDS).stdout.strip()


def run_on(host: str, *words: str, check: bool = True, background: bool = False) -> str:
    """A command's output on another host; this one where ``host`` is empty. In the background: its first line."""
    if not host:
        return run(*words, check=check)
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(SECONDS + 5)
        s.connect(_switchboard[0])
        s.sendall(json.dumps({"host": host, "argv": words, "background": background}).encode() + b"\n")
        answer = json.loads(s.makefile().readline())
    if check and answer["code"] != 0:
        raise RuntimeError(f"{host}: {words}: {answer['out']}\n{answer['error']}")
    return str(answer["out"]).strip()


def inside(space: str, *words: str, check: bool = False) -> str:
    """A command's output in a network namespace; the host itself where it is empty."""
    return run_on(_places.get(space, ""), *_entered(space), *words, check=check)


def _entered(space: str) -> tuple[str, ...]:
    return ("ip", "netns", "exec", space) if space else ()


def make(space: str, host: str = "") -> None:
    """A network namespace on a host, with its loopback up."""
    place(space, host)
    run_on(host, "ip", "netns", "add", space)
    inside(space, "ip", "link", "set", "lo", "up", check=True)


def act(space: str, *words: str) -> str:
    """What an endpoint's command answers in a namespace; the host itself where it is empty."""
    return inside(space, sys.executable, "-E", "-S", ENDPOINT, *words, check=True)


def start(space: str, *words: str) -> subprocess.Popen[str] | None:
    """An endpoint's command that goes on, in a namespace: it has said its first line. What to end, if it is here."""
    argv = (*_entered(space), sys.executable, "-E", "-S", ENDPOINT, *words)
    if host := _places.get(space, ""):
        run_on(host, *argv, background=True)
        return None
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    return child


def until(seen: Callable[[], Any], seconds: float = 8.0) -> Any:
    """What ``seen`` gives once it is true, or at the end."""
    end = time.monotonic() + seconds
    while True:
        value = seen()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.1)


def call(space: str, address: str, port: int) -> str:
    """What a TCP server answers; nothing where it is not reached."""
    return act(space, "call", address, str(port))


def ping(space: str, address: str, *source: str) -> bool:
    """Whether a ping is answered within a second."""
    return act(space, "ping", address, *source) == "yes"


def ping_whole(space: str, address: str, size: int) -> str:
    """What becomes of a ping whose IPv4 packet has ``size`` bytes and must not be cut: ``yes`` (answered), ``no``, or
    ``too big`` where the card itself refuses it."""
    return act(space, "ping", address, "", str(size))


def rate(space: str, address: str, port: int, seconds: float = 2.0) -> float:
    """How many megabits a second TCP carries to a ``sink`` at ``address``, as the sink counts them."""
    return float(act(space, "pour", address, str(port), str(seconds)) or 0)


def sniff(space: str, device: str, seconds: float) -> list[bytes]:
    """Every frame that a card sees for so long, as it lies on the wire."""
    return [bytes.fromhex(line) for line in act(space, "sniff", device, str(seconds)).split()]


def build_world() -> None:
    """A network beyond this host, with one machine in it."""
    make("world")
    run("ip", "link", "add", "beyond", "type", "veth", "peer", "name", "far", "netns", "world")
    run("ip", "addr", "add", "198.51.100.1/24", "dev", "beyond")
    run("ip", "link", "set", "beyond", "up")
    inside("world", "ip", "addr", "add", "198.51.100.2/24", "dev", "far", check=True)
    inside("world", "ip", "link", "set", "far", "up", check=True)
