"""The cloud's own process, `yun serve`: started detached or as a systemd unit, found again, ended."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from yun.base.config import Settings
from yun.base.errors import Unavailable
from yun.base.messages import PACKAGE, _
from yun.drivers.host.command import PATH, run
from yun.drivers.host.services import systemd_runs

UNIT = Path("/etc/systemd/system/yun.service")
LOG_BYTES = 10 << 20
ENDING_SECONDS = 25.0


@dataclass(frozen=True)
class Running:
    """The process that serves now, and what it was started from."""

    pid: int
    fingerprint: str


def program() -> str:
    """The `yun` command beside the Python that runs us."""
    return str(Path(sys.executable).with_name("yun"))


def environment(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """What the process sees: our settings from ``environ``, the state directory by its real path, a fixed PATH."""
    ours = {k: v for k, v in environ.items() if k.startswith("YUN_")}
    return {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": "/root", **ours, "YUN_STATE_DIR": str(settings.state_dir)}


def fingerprint(environ: Mapping[str, str]) -> str:
    """Changes with our code, the built panel and the settings: a process of another one is restarted by `yun up`."""
    digest = hashlib.sha256()
    wanted = {".py", ".html", ".mo", ".json", ".toml", ".txt", ".xml"}
    for path in sorted(p for p in PACKAGE.rglob("*") if p.suffix in wanted and "__pycache__" not in p.parts):
        stat = path.stat()
        digest.update(f"{path}:{stat.st_mtime_ns}:{stat.st_size}\n".encode())
    digest.update(json.dumps(sorted(environ.items())).encode())
    return digest.hexdigest()


def record(settings: Settings) -> Path:
    """The pid file: a line with the pid, one with the fingerprint."""
    return settings.state_dir / "serve.pid"


def log_file(settings: Settings) -> Path:
    """Where the detached process logs."""
    return settings.state_dir / "log" / "serve.log"


def running(settings: Settings) -> Running | None:
    """The process that serves this state directory, or None."""
    try:
        first, *rest = record(settings).read_text().split()
        pid = int(first)
        if systemd_runs() and UNIT.exists():
            shown = run(["systemctl", "show", "-p", "MainPID", "--value", "yun.service"], check=False).stdout.strip()
            pid = int(shown or 0)
        return Running(pid, rest[0] if rest else "") if _serves(pid) else None
    except (OSError, ValueError, IndexError):
        return None


def start(settings: Settings, environ: Mapping[str, str]) -> int:
    """`yun serve` runs in the background and outlives us; its pid. Precondition: `running` gave None."""
    fresh = fingerprint(environ)
    if systemd_runs():
        _write_unit(settings, environ)
        run(["systemctl", "daemon-reload"], timeout=30)
        run(["systemctl", "enable", "yun.service"], timeout=30, check=False)
        record(settings).write_text(f"0\n{fresh}\n")
        run(["systemctl", "restart", "yun.service"], timeout=60)
        pid = int(run(["systemctl", "show", "-p", "MainPID", "--value", "yun.service"]).stdout.strip() or 0)
    else:
        # Through a shell that ends at once: the process belongs to init from its beginning.
        detach = 'cd /; umask 022; setsid "$0" serve </dev/null >>"$1" 2>&1 & echo $!'
        command = ["sh", "-c", detach, program(), str(open_log(settings))]
        said = subprocess.run(command, env=dict(environ), stdout=subprocess.PIPE, text=True, check=True).stdout
        pid = int(said)
        _await_program(pid)
    record(settings).write_text(f"{pid}\n{fresh}\n")
    return pid


def start_child(settings: Settings, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """`yun serve` as our child, logging to our own stderr: for `yun up --foreground`."""
    process = subprocess.Popen(
        [program(), "serve"], stdin=subprocess.DEVNULL, stdout=sys.stderr, env=dict(environ), cwd="/"
    )
    record(settings).write_text(f"{process.pid}\n{fingerprint(environ)}\n")
    return process


def stop(settings: Settings) -> bool:
    """No process serves this state directory; true where one did. Guests go on running."""
    found = running(settings)
    if systemd_runs() and UNIT.exists():
        # Disabled too, so that a reboot does not bring back what a person took down; `start` enables it again.
        run(["systemctl", "disable", "--now", "yun.service"], timeout=60, check=False)
    elif found is not None:
        with suppress(ProcessLookupError):
            os.kill(found.pid, signal.SIGTERM)
        until = time.monotonic() + ENDING_SECONDS
        while running(settings) is not None:
            if time.monotonic() > until:
                with suppress(ProcessLookupError):
                    os.kill(found.pid, signal.SIGKILL)
                break
            time.sleep(0.05)
    record(settings).unlink(missing_ok=True)
    return found is not None


def remove_unit() -> None:
    """The systemd unit of ours is gone."""
    if UNIT.exists():
        run(["systemctl", "disable", "--now", "yun.service"], timeout=60, check=False)
        UNIT.unlink(missing_ok=True)
        run(["systemctl", "daemon-reload"], timeout=30, check=False)


def why_it_ended(settings: Settings) -> Unavailable:
    """The error for a process that did not come up, with the last words of its log."""
    if systemd_runs() and UNIT.exists():
        last = run(["journalctl", "-u", "yun.service", "-n", "15", "--no-pager", "-o", "cat"], check=False).stdout
        where = "journalctl -u yun.service"
    else:
        with suppress(OSError):
            last = "\n".join(log_file(settings).read_text(errors="replace").splitlines()[-15:])
        where = str(log_file(settings))
    return Unavailable(
        _("yun serve did not answer."), hint=_("Its log says why: {path}", path=where), private="\n" + last.strip()
    )


def open_log(settings: Settings) -> Path:
    """The log is there, readable by root alone; an old one is put aside when it has grown."""
    path = log_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    return path


def _await_program(pid: int) -> None:
    """Wait until the shell's child has become `yun serve`, or has ended."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            if _serves(pid):
                return
        except OSError:
            return
        time.sleep(0.01)


def _serves(pid: int) -> bool:
    """Whether the process is a living `yun serve`."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return b"serve" in words and b"setsid" not in words and state != "Z"


def _write_unit(settings: Settings, environ: Mapping[str, str]) -> None:
    """The unit and the file with its environment (0600: it may hold the database's password)."""
    variables = settings.state_dir / "serve.env"
    descriptor = os.open(variables, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        for name, value in sorted(environ.items()):
            file.write(f"{name}={shlex.quote(value)}\n")
    UNIT.write_text(
        "[Unit]\nDescription=Yun private cloud\n"
        "After=network-online.target libvirtd.service ovn-central.service ovn-host.service openvswitch-switch.service\n"
        "Wants=network-online.target\n\n[Service]\n"
        f"EnvironmentFile={variables}\nExecStart={program()} serve\nRestart=on-failure\nRestartSec=2\n"
        "KillMode=mixed\nTimeoutStopSec=30\n\n[Install]\nWantedBy=multi-user.target\n"
    )
