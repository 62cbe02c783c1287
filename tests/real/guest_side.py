"""What a guest's agent tells and does, on a real machine: a part of the test of a machine's whole life."""

from __future__ import annotations

import json
import re
import socket
import time

from tests.real.cloud import YUN, Desk, until

SECRET = "neu 密码 gesetzt"


def inside(desk: Desk, identifier: str, address: str) -> None:
    """Everything that is asked of an agent, and what the guest has of it."""
    until(lambda: desk.yun("instance", "guest", identifier)["seen_at"], 60)
    facts = desk.yun("instance", "guest", identifier)
    assert facts["hostname"] == "web"
    assert facts["os_name"]
    (root,) = [f for f in facts["file_systems"] if f["mount"] == "/"]
    assert root["slots"] == ["vda"]
    assert 0 < root["used_bytes"] < root["total_bytes"]
    assert any("/" in a for card in facts["cards"] for a in card["addresses"])
    password(desk, identifier)
    commands(desk, identifier)
    clock_and_blocks(desk, identifier, address)
    frozen(desk, identifier)


def password(desk: Desk, identifier: str) -> None:
    """A new one, good on the serial port, and in no file of the cloud."""
    said = desk.host.run(
        "sh", "-c", f"printf '%s\\n' '{SECRET}' | {YUN} -o json instance set-password {identifier} --user root"
    )
    assert json.loads(said)["operation"]["state"] == "succeeded"
    assert "# " in log_in(desk, identifier, SECRET)
    found = desk.host.run("grep", "-rl", SECRET, "/var/lib/yun", "--include=*.db*", "--include=*.log", check=False)
    assert not found.strip(), found


def log_in(desk: Desk, identifier: str, secret: str) -> str:
    """What the serial port says after logging in as root."""
    xml = desk.host.run("virsh", "dumpxml", identifier)
    found = re.search(r"<serial type='unix'>.*?path='([^']+)'", xml, re.DOTALL)
    assert found is not None
    with socket.socket(socket.AF_UNIX) as port:
        port.settimeout(1)
        port.connect(f"/proc/{desk.host.pid}/root{found[1]}")
        said = ""
        for typed, wait in (("\n", "login: "), ("root\n", "assword: "), (f"{secret}\n", "# ")):
            time.sleep(0.5)  # log-in shows its prompt a moment before it stops to echo
            port.sendall(typed.encode())
            said = heard(port, wait)
        port.sendall(b"exit\n")
        return said


def heard(port: socket.socket, word: str) -> str:
    """Everything up to a word."""
    end, said = time.monotonic() + 30, b""
    while word.encode() not in said:
        assert time.monotonic() < end, said
        try:
            said += port.recv(4096)
        except TimeoutError:
            port.sendall(b"\n" if b"login" not in said and word == "login: " else b"")
    return said.decode(errors="replace")


def commands(desk: Desk, identifier: str) -> None:
    """Output, exit code, and the end of what takes too long, with its children."""
    done = desk.yun("instance", "run", identifier, "uname", "-a")["operation"]["result"]
    assert done["exit_code"] == 0
    assert done["stdout"].startswith("Linux web ")
    failed = desk.yun("instance", "run", identifier, "sh", "-c", "echo out; echo err >&2; exit 3", check=False)
    assert failed["operation"]["result"] | {"instance_id": ""} == {
        "instance_id": "", "exit_code": 3, "signal": None, "timed_out": False, "stdout": "out\n", "stderr": "err\n",
        "truncated": False,
    }  # fmt: skip
    slow = desk.yun(
        "instance", "run", "--timeout", "2", identifier, "sh", "-c", "echo begun; sleep 4321; true", check=False
    )
    assert slow["operation"]["result"]["timed_out"]
    assert slow["operation"]["result"]["stdout"] == "begun\n"
    left = desk.yun("instance", "run", identifier, "ps")["operation"]["result"]["stdout"]
    assert "sleep 4321" not in left


def clock_and_blocks(desk: Desk, identifier: str, address: str) -> None:
    """A clock that was wrong is right; trimming names what it trimmed."""
    desk.ssh(address, "date -s 2020.01.01-00:00:00")
    ahead = desk.yun("instance", "sync-time", identifier)["operation"]["result"]["was_ahead_seconds"]
    assert ahead < -1e8
    assert abs(int(desk.ssh(address, "date +%s")) - time.time()) < 10
    desk.ssh(address, "dd if=/dev/urandom of=/root/big bs=1M count=4; sync; rm /root/big; sync")
    trimmed = desk.yun("instance", "trim", identifier)["operation"]["result"]
    assert trimmed["trimmed_bytes"] >= 4 << 20, trimmed


def frozen(desk: Desk, identifier: str) -> None:
    """Held, thawed on request, by itself, and after a death of the cloud."""

    def is_frozen() -> bool:
        said = desk.host.run("virsh", "qemu-agent-command", identifier, '{"execute":"guest-fsfreeze-status"}')
        return json.loads(said)["return"] == "frozen"

    desk.yun("instance", "freeze", identifier, "--seconds", "60")
    assert is_frozen()
    refused = desk.host.run(YUN, "instance", "trim", identifier, check=False)
    assert "frozen" in refused or refused == ""
    desk.yun("instance", "thaw", identifier)
    assert not is_frozen()
    desk.yun("instance", "freeze", identifier, "--seconds", "1")
    until(lambda: not is_frozen(), 20)
    desk.yun("instance", "freeze", identifier, "--seconds", "3")
    desk.signal_cloud("KILL")
    assert is_frozen()
    desk.up()
    until(lambda: not is_frozen(), 30)
    assert desk.yun("instance", "guest", identifier)["frozen_until"] is None
