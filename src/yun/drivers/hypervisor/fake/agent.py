"""The guest agent of a fake machine: knows the commands that the house uses, and what a real one refuses."""

from __future__ import annotations

import base64
import itertools
import time
from dataclasses import dataclass

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.fake.functions import FakeFunction

WHILE_FROZEN = {"guest-ping", "guest-info", "guest-sync", "guest-fsfreeze-status", "guest-fsfreeze-thaw"}


@dataclass
class FakeProcess:
    """A command in the guest: it ends by itself at ``ends``, or is killed."""

    ends: float
    code: int = 0
    out: bytes = b""
    err: bytes = b""
    signal: int | None = None


class FakeAgent:
    """``passwords`` are the hashes that were set by user, ``ahead`` how many seconds the clock is ahead of the host's,
    ``free_bytes`` what the next trim gives back, ``ran`` the commands it was asked to run. ``broken`` commands fail.
    ``function`` is what it does where it is a network function.
    """

    def __init__(self) -> None:
        self.frozen = False
        self.passwords: dict[str, str] = {}
        self.ahead = 0.0
        self.free_bytes = 1 << 20
        self.ran: list[list[str]] = []
        self.broken: set[str] = set()
        self.function = FakeFunction()
        self.processes: dict[int, FakeProcess] = {}
        self._numbers = itertools.count(500)

    def answer(self, command: str, arguments: dict[str, object], title: str) -> object:
        """The ``return`` of one command. `DriverError` (not retryable) where a real agent would refuse."""
        if command in self.broken:
            raise refused(f"{command} failed")
        if self.frozen and command not in WHILE_FROZEN:
            raise refused(f"Command {command} has been disabled for this instance")
        match command:
            case "guest-get-host-name":
                return {"host-name": title}
            case "guest-fsfreeze-status":
                return "frozen" if self.frozen else "thawed"
            case "guest-fsfreeze-freeze":
                self.frozen = True
                return 1
            case "guest-fsfreeze-thaw":
                was, self.frozen = self.frozen, False
                return int(was)
            case "guest-fstrim":
                gone, self.free_bytes = self.free_bytes, 0
                return {"paths": [{"path": "/", "trimmed": gone, "minimum": 0}]}
            case "guest-get-time":
                return int((time.time() + self.ahead) * 1e9)
            case "guest-set-time":
                self.ahead = float(str(arguments["time"])) / 1e9 - time.time()
                return {}
            case "guest-set-user-password":
                return self._set_password(arguments)
            case "guest-exec":
                feed = base64.b64decode(str(arguments.get("input-data", "")))
                return {"pid": self._execute([str(arguments["path"]), *_words(arguments.get("arg"))], title, feed)}
            case "guest-exec-status":
                return self._status(int(str(arguments["pid"])))
        return {}

    def reboot(self) -> None:
        """All that ran is gone, and nothing stands still any more."""
        self.frozen = False
        self.processes.clear()

    def _set_password(self, arguments: dict[str, object]) -> object:
        if str(arguments["username"]) == "nobody-here":
            raise refused("child process has failed to set user password")
        self.passwords[str(arguments["username"])] = base64.b64decode(str(arguments["password"])).decode()
        return {}

    def _execute(self, words: list[str], title: str, feed: bytes) -> int:
        if words[:2] == ["/bin/sh", "-c"] and "/etc/machine-id" in words[2]:  # it becomes somebody else
            words = ["true", *words[4:]]
        elif words[:2] == ["/bin/sh", "-c"]:
            words = words[4:] if words[3:4] == ["sh"] else ["kill", *words[4:]]
        number = next(self._numbers)
        if words[0] == "kill":
            self._kill(int(words[1]))
            self.processes[number] = FakeProcess(0.0)
            return number
        if words[0].startswith("/usr/lib/function/"):
            code, said = self.function.apply(feed) if words[0].endswith("/apply") else self.function.state()
            self.processes[number] = FakeProcess(0.0, code=code, out=said)
            return number
        self.ran.append(words)
        self.processes[number] = _process(words, title)
        return number

    def _kill(self, number: int) -> None:
        found = self.processes.get(number)
        if found is not None and found.ends > time.monotonic():
            found.ends, found.signal = 0.0, 9

    def _status(self, number: int) -> object:
        found = self.processes.get(number)
        if found is None:
            raise refused("Invalid parameter 'pid'")
        if found.ends > time.monotonic():
            return {"exited": False}
        del self.processes[number]
        told: dict[str, object] = {"exited": True}
        told |= {"signal": found.signal} if found.signal is not None else {"exitcode": found.code}
        for name, data in (("out-data", found.out), ("err-data", found.err)):
            if data:
                told[name] = base64.b64encode(data).decode()
        return told


def _words(told: object) -> list[str]:
    return [str(word) for word in told] if isinstance(told, list) else []


def _process(words: list[str], title: str) -> FakeProcess:
    name, *rest = words
    match name:
        case "echo":
            return FakeProcess(0.0, out=(" ".join(rest) + "\n").encode())
        case "uname":
            return FakeProcess(0.0, out=f"Linux {title} 6.1.0-fake\n".encode() if rest else b"Linux\n")
        case "sleep":
            return FakeProcess(time.monotonic() + float(rest[0]), out=b"tired\n")
        case "true":
            return FakeProcess(0.0)
        case "false":
            return FakeProcess(0.0, code=1)
        case "yes":
            return FakeProcess(0.0, out=b"y\n" * 100_000, err=b"n\n" * 100_000)
    return FakeProcess(0.0, code=127, err=f"sh: exec: {name}: not found\n".encode())


def refused(reason: str) -> DriverError:
    """What the hypervisor says where an agent refuses."""
    return DriverError(_("The hypervisor refused: {reason}", reason=reason), private=reason)
