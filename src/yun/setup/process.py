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
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from yun.base.config import Settings, load
from yun.base.errors import Conflict, Unavailable
from yun.base.messages import PACKAGE, _
from yun.drivers.host.command import PATH, run
from yun.drivers.host.services import systemd_runs

UNIT = Path("/etc/systemd/system/yun.service")
LOG_BYTES = 10 << 20
ENDING_SECONDS = 25.0
TLS = ("YUN_TLS_CERT", "YUN_TLS_KEY")


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


def wishes(settings: Settings) -> Path:
    """Where it is kept on which address and port `yun up` was asked to listen, as variables."""
    return settings.state_dir / "up.json"


def asked(settings: Settings) -> dict[str, str]:
    """The variables that `keep_asked` kept."""
    with suppress(OSError, ValueError):
        kept = json.loads(wishes(settings).read_text())
        return {name: str(kept[name]) for name in ("YUN_LISTEN", "YUN_PORT", *TLS) if name in kept}
    return {}


def keep_asked(settings: Settings, extra: Mapping[str, str], environ: Mapping[str, str]) -> None:
    """What `yun up` was asked for in ``extra`` counts for later calls too, with the TLS it needs from ``environ``; a
    loopback address makes an earlier wish for another one forgotten."""
    if not extra:
        return
    kept = {**asked(settings), **extra}
    if "YUN_LISTEN" in extra:
        kept = {k: v for k, v in kept.items() if k not in TLS}
        if settings.loopback:
            del kept["YUN_LISTEN"]
        else:
            kept |= {name: environ[name] for name in TLS if name in environ}
    wishes(settings).write_text(json.dumps(kept) + "\n")


def recall(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables with what an earlier `yun up` was asked for: ``environ`` and the file of settings win over it.

    Raises `Invalid` as `load` does.
    """
    settings = load(environ)
    written: set[str] = set()
    with suppress(OSError, tomllib.TOMLDecodeError):
        file = Path(environ.get("YUN_CONFIG", settings.state_dir / "config.toml"))
        written = {f"YUN_{name.upper()}" for name in tomllib.loads(file.read_text())}
    return {**{k: v for k, v in asked(settings).items() if k not in written}, **environ}


def served(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables with those that `yun serve` was started with last, so that what ends it finds its database;
    ``environ`` wins. Raises `Invalid` as `load` does."""
    kept: dict[str, str] = {}
    with suppress(OSError, ValueError):
        for line in variables_file(load(environ)).read_text().splitlines():
            name, _mark, value = line.partition("=")
            if name.startswith("YUN_"):
                kept[name] = "".join(shlex.split(value))
    return {**kept, **environ}


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
    pid, known = 0, ""
    with suppress(OSError, ValueError):
        first, *rest = record(settings).read_text().split()
        pid, known = int(first), rest[0] if rest else ""
    # The recorded process first: one in the foreground is ours, whether or not there is a unit too.
    if _serves(pid, settings):
        return Running(pid, known)
    if owns_unit(settings) and _serves(pid := _main_pid(), settings):
        return Running(pid, known)
    return None


def variables_file(settings: Settings) -> Path:
    """What the process saw when it was started last: read by the unit, and by `yun down`."""
    return settings.state_dir / "serve.env"


def owns_unit(settings: Settings) -> bool:
    """Whether the systemd unit is there and serves this state directory."""
    with suppress(OSError):
        return systemd_runs() and f"EnvironmentFile={variables_file(settings)}" in UNIT.read_text().splitlines()
    return False


def _main_pid() -> int:
    shown = run(["systemctl", "show", "-p", "MainPID", "--value", "yun.service"], check=False).stdout.strip()
    return int(shown) if shown.isdigit() else 0


def start(settings: Settings, environ: Mapping[str, str]) -> int:
    """`yun serve` runs in the background and outlives us; its pid. Precondition: `running` gave None.

    Raises `Conflict` where the systemd unit runs another cloud.
    """
    fresh = fingerprint(environ)
    if systemd_runs():
        _refuse_hijack(settings)
    _write_variables(settings, environ)
    if systemd_runs():
        _write_unit(settings)
        run(["systemctl", "daemon-reload"], timeout=30)
        run(["systemctl", "enable", "yun.service"], timeout=30, check=False)
        record(settings).write_text(f"0\n{fresh}\n")
        run(["systemctl", "restart", "yun.service"], timeout=60)
        pid = _main_pid()
    else:
        # Through a shell that ends at once: the process belongs to init from its beginning.
        detach = 'cd /; umask 022; setsid "$0" serve </dev/null >>"$1" 2>&1 & echo $!'
        command = ["sh", "-c", detach, program(), str(open_log(settings))]
        said = subprocess.run(command, env=dict(environ), stdout=subprocess.PIPE, text=True, check=True).stdout
        pid = int(said)
        _await_program(pid, settings)
    record(settings).write_text(f"{pid}\n{fresh}\n")
    return pid


def start_child(settings: Settings, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """`yun serve` as our child, logging to our own stderr: for `yun up --foreground`."""
    _write_variables(settings, environ)
    process = subprocess.Popen(
        [program(), "serve"], stdin=subprocess.DEVNULL, stdout=sys.stderr, env=dict(environ), cwd="/"
    )
    record(settings).write_text(f"{process.pid}\n{fingerprint(environ)}\n")
    return process


def stop(settings: Settings) -> bool:
    """No process serves this state directory; true where one did. Guests go on running."""
    found = running(settings)
    if owns_unit(settings):
        # Disabled too, so that a reboot does not bring back what a person took down; `start` enables it again.
        run(["systemctl", "disable", "--now", "yun.service"], timeout=60, check=False)
    if left := running(settings):
        with suppress(ProcessLookupError):
            os.kill(left.pid, signal.SIGTERM)
        until = time.monotonic() + ENDING_SECONDS
        while running(settings) is not None:
            if time.monotonic() > until:
                with suppress(ProcessLookupError):
                    os.kill(left.pid, signal.SIGKILL)
                break
            time.sleep(0.05)
    record(settings).unlink(missing_ok=True)
    return found is not None


def remove_unit(settings: Settings) -> None:
    """The systemd unit is gone, if it serves this state directory; another cloud's stays."""
    if owns_unit(settings):
        run(["systemctl", "disable", "--now", "yun.service"], timeout=60, check=False)
        UNIT.unlink(missing_ok=True)
        run(["systemctl", "daemon-reload"], timeout=30, check=False)


def why_it_ended(settings: Settings, *, child: bool = False) -> Unavailable:
    """The error for a process that did not come up, with the last words of its log; a ``child`` has said them to our
    own standard error."""
    if child:
        return Unavailable(_("yun serve did not answer."), hint=_("Its last words above say why."))
    if owns_unit(settings):
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


def _await_program(pid: int, settings: Settings) -> None:
    """Wait until the shell's child has become `yun serve`, or has ended."""
    until = time.monotonic() + 5
    while time.monotonic() < until and os.path.exists(f"/proc/{pid}") and not _serves(pid, settings):
        time.sleep(0.01)


def _serves(pid: int, settings: Settings) -> bool:
    """Whether the process is a living `yun serve` of this state directory."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    with suppress(OSError):  # who is not root cannot read it, and believes the pid file
        seen = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        if f"YUN_STATE_DIR={settings.state_dir}".encode() not in seen:
            return False
    return b"serve" in words and b"setsid" not in words and state != "Z"


def _refuse_hijack(settings: Settings) -> None:
    """Raise `Conflict` where the unit serves another state directory at this moment."""
    if not UNIT.exists() or owns_unit(settings):
        return
    if run(["systemctl", "is-active", "--quiet", "yun.service"], check=False).returncode == 0:
        raise Conflict(
            _("The systemd unit {path} serves another cloud.", path=str(UNIT)),
            hint=_("Stop that cloud first: YUN_STATE_DIR=… yun down. One machine serves one cloud."),
        )


def _write_variables(settings: Settings, environ: Mapping[str, str]) -> None:
    """The file with the process's environment (0600: it may hold the database's password)."""
    descriptor = os.open(variables_file(settings), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        for name, value in sorted(environ.items()):
            file.write(f"{name}={shlex.quote(value)}\n")


def _write_unit(settings: Settings) -> None:
    """The unit that reads its environment from the file."""
    # What comes after the two for guests is stopped before them: when the host goes down, nobody watches any more how
    # its instances are switched off, and takes that for somebody's wish.
    UNIT.write_text(
        "[Unit]\nDescription=Yun private cloud\n"
        "After=network-online.target libvirtd.service ovn-central.service ovn-host.service openvswitch-switch.service\n"
        "After=libvirt-guests.service virt-guest-shutdown.target\n"
        "Wants=network-online.target\n\n[Service]\n"
        f"EnvironmentFile={variables_file(settings)}\nExecStart={program()} serve\nRestart=on-failure\nRestartSec=2\n"
        "KillMode=mixed\nTimeoutStopSec=30\n\n[Install]\nWantedBy=multi-user.target\n"
    )
