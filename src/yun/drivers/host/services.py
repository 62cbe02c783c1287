"""The daemons a host needs: what each is, whether it answers, starting and stopping it.

Where systemd runs, its units are used. Elsewhere the packages' own scripts and programs are called as the units
call them; the daemons detach and outlive us. What we started is remembered, so that only that is stopped later.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from yun.base.errors import DriverError
from yun.base.log import logger
from yun.base.messages import Message, _
from yun.drivers.host import ask
from yun.drivers.host.command import run
from yun.drivers.host.port import ServiceFacts

log = logger(__name__)

OVS_CTL = "/usr/share/openvswitch/scripts/ovs-ctl"
OVN_CTL = "/usr/share/ovn/scripts/ovn-ctl"
OVS_RUN, OVN_RUN, LIBVIRT_RUN = "/run/openvswitch", "/run/ovn", "/run/libvirt"
ASK_SECONDS = 3.0
START_SECONDS = 30.0
WAKE_SECONDS = 5.0
END_SECONDS = 10.0


@dataclass(frozen=True)
class Daemon:
    """One entry of the table: our name, its program (absent means missing), the package that brings it, the units,
    the pid file, the question (gives the version) and the commands that start and stop it without systemd."""

    name: str
    program: str
    package: str
    units: tuple[str, ...]
    pidfile: str
    ask: Callable[[float], str]
    start: Callable[[], None]
    stop: Callable[[], None]

    @property
    def services(self) -> tuple[str, ...]:
        """The units that hold its processes."""
        return tuple(dict.fromkeys(u.replace(".socket", ".service") for u in self.units))


def systemd_runs() -> bool:
    """Whether units can be used."""
    return os.path.isdir("/run/systemd/system")


def _ask_openvswitch(timeout: float) -> str:
    ask.ovsdb_alive(f"{OVS_RUN}/db.sock", timeout)
    return ask.control_version(f"{OVS_RUN}/ovs-vswitchd.pid", timeout)


def _ask_central(timeout: float) -> str:
    ask.ovsdb_alive(f"{OVN_RUN}/ovnnb_db.sock", timeout)
    ask.ovsdb_alive(f"{OVN_RUN}/ovnsb_db.sock", timeout)
    return ask.control_version(f"{OVN_RUN}/ovn-northd.pid", timeout)


def _ask_virtlogd(timeout: float) -> str:
    ask.libvirt_keepalive(f"{LIBVIRT_RUN}/virtlogd-sock", timeout)
    return ""


def _start_openvswitch() -> None:
    done = run([OVS_CTL, "start", "--system-id=random", "--no-mlockall"], timeout=START_SECONDS, check=False)
    with suppress(ask.Away, ask.Mute):
        _ask_openvswitch(ASK_SECONDS)
        return
    # A kernel with loadable modules but without openvswitch.ko makes the script stop before ovs-vswitchd.
    try:
        ask.ovsdb_alive(f"{OVS_RUN}/db.sock", ASK_SECONDS)
    except (ask.Away, ask.Mute) as error:
        said = done.stdout.strip()[-400:]
        raise DriverError(_("{name} failed: {reason}", name="ovs-ctl", reason=said), retryable=True) from error
    run(
        ["ovs-vswitchd", f"unix:{OVS_RUN}/db.sock", "-vconsole:emer", "-vsyslog:err", "-vfile:info", "--no-chdir",
         "--monitor", "--log-file=/var/log/openvswitch/ovs-vswitchd.log", f"--pidfile={OVS_RUN}/ovs-vswitchd.pid",
         "--detach"], timeout=START_SECONDS,
    )  # fmt: skip


def open_kvm_device(device: str = "/dev/kvm") -> None:
    """Give the hypervisor's group the device, as udev does where it runs.

    Otherwise libvirt, which examines QEMU as another user than it checks the device with, finds its own findings
    outdated at every call and examines QEMU anew: four seconds for each call.
    """
    with suppress(OSError, LookupError):
        if os.stat(device).st_gid == 0 and not os.path.isdir("/run/udev"):
            shutil.chown(device, group="kvm")
            os.chmod(device, 0o660)


def _start_libvirt() -> None:
    open_kvm_device()
    for directory in (LIBVIRT_RUN, "/var/log/libvirt"):
        os.makedirs(directory, exist_ok=True)
    run(["libvirtd", "-d"], timeout=START_SECONDS)


def _start_virtlogd() -> None:
    for directory in (LIBVIRT_RUN, "/var/log/libvirt"):
        os.makedirs(directory, exist_ok=True)
    run(["virtlogd", "-d"], timeout=START_SECONDS)


def table(libvirt_uri: str = "qemu:///system") -> tuple[Daemon, ...]:
    """All daemons in start order."""

    def ask_libvirt(timeout: float) -> str:
        return ask.libvirt_version(f"{LIBVIRT_RUN}/libvirt-sock", libvirt_uri, timeout)

    return (
        Daemon("openvswitch", OVS_CTL, "openvswitch-switch", ("openvswitch-switch",), f"{OVS_RUN}/ovs-vswitchd.pid",
               _ask_openvswitch, _start_openvswitch, lambda: _script(OVS_CTL, "stop")),
        Daemon("ovn-central", "/usr/bin/ovn-northd", "ovn-central", ("ovn-central",), f"{OVN_RUN}/ovn-northd.pid",
               _ask_central, lambda: _script(OVN_CTL, "start_northd"), lambda: _script(OVN_CTL, "stop_northd")),
        Daemon("ovn-controller", "/usr/bin/ovn-controller", "ovn-host", ("ovn-host",),
               f"{OVN_RUN}/ovn-controller.pid",
               lambda timeout: ask.control_version(f"{OVN_RUN}/ovn-controller.pid", timeout),
               lambda: _script(OVN_CTL, "start_controller"), lambda: _script(OVN_CTL, "stop_controller")),
        Daemon("virtlogd", "/usr/sbin/virtlogd", "libvirt-daemon", ("virtlogd.socket",), "/run/virtlogd.pid",
               _ask_virtlogd, _start_virtlogd, lambda: _terminate("/run/virtlogd.pid", "virtlogd")),
        Daemon("libvirt", "/usr/sbin/libvirtd", "libvirt-daemon-system", ("libvirtd.socket", "libvirtd.service"),
               "/run/libvirtd.pid", ask_libvirt, _start_libvirt,
               lambda: _terminate("/run/libvirtd.pid", "libvirtd")),
    )  # fmt: skip


def _script(script: str, verb: str) -> None:
    run([script, verb], timeout=START_SECONDS)


def _terminate(pidfile: str, program: str) -> None:
    pid = ask.read_pid(pidfile)
    if pid is None or _comm(pid) != program:
        return
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + END_SECONDS
    while _comm(pid) == program:
        if time.monotonic() > until:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.05)


def _comm(pid: int) -> str:
    """The process's program name; empty for a dead or unreaped one."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state = text.rpartition(")")[2].split()[0]
    return "" if state == "Z" else text.partition("(")[2].rpartition(")")[0]


def look(daemon: Daemon, timeout: float = ASK_SECONDS) -> ServiceFacts:
    """The truth about one daemon, by asking it."""
    if not os.path.exists(daemon.program):
        return ServiceFacts(daemon.name, "missing", detail=daemon.package)
    try:
        version = daemon.ask(timeout)
    except ask.Away as error:
        return ServiceFacts(daemon.name, "stopped", detail=str(error))
    except ask.Mute as error:
        return ServiceFacts(daemon.name, "unresponsive", pid=ask.read_pid(daemon.pidfile), detail=str(error))
    return ServiceFacts(daemon.name, "running", version=version, pid=ask.read_pid(daemon.pidfile))


class Services:
    """The daemons of this host; ``state_dir`` remembers which of them we started."""

    def __init__(self, state_dir: Path, libvirt_uri: str = "qemu:///system") -> None:
        self.daemons = {d.name: d for d in table(libvirt_uri)}
        self.record = state_dir / "services.json"

    def all(self) -> list[ServiceFacts]:
        """Every daemon, in start order; all are asked at once, so a mute one costs its time-out only once."""
        with ThreadPoolExecutor(len(self.daemons), "yun-ask") as pool:
            return list(pool.map(look, self.daemons.values()))

    def one(self, name: str) -> Daemon:
        """The entry of that name. Raises `DriverError` for a name we do not know."""
        if name not in self.daemons:
            known = ", ".join(self.daemons)
            raise DriverError(_("There is no service {name}; there are {known}.", name=name, known=known))
        return self.daemons[name]

    def start(self, name: str) -> bool:
        """The daemon runs and answers; true where something had to be done for that.

        A mute one is woken where somebody froze it, and restarted where that does not help; guests go on meanwhile.
        """
        daemon = self.one(name)
        facts = look(daemon)
        if facts.state == "running":
            return False
        if facts.state == "missing":
            raise DriverError(
                _("{name} is not installed on this host.", name=name),
                hint=_("Run ./up, or apt-get install {package}.", package=daemon.package),
            )
        if facts.state == "unresponsive":
            self._revive(daemon, facts)
        else:
            self._remember({*self.started(), name})
            if systemd_runs():
                run(["systemctl", "enable", "--now", *daemon.units], timeout=2 * START_SECONDS)
            else:
                daemon.start()
            log.info("started %s", name)
            self._await(daemon, _("{name} was started and does not answer.", name=name))
        return True

    def _revive(self, daemon: Daemon, facts: ServiceFacts) -> None:
        _wake(facts.pid)
        if _answers(daemon, WAKE_SECONDS):
            return
        log.warning("%s does not answer and is restarted", daemon.name)
        if systemd_runs():
            # The main process alone: guests may live in the same control group.
            kill = ["systemctl", "kill", "--kill-who=main", "--signal=KILL"]
            run([*kill, *daemon.services], timeout=START_SECONDS, check=False)
            run(["systemctl", "restart", *daemon.services], timeout=2 * START_SECONDS)
        else:
            daemon.stop()
            daemon.start()
        self._await(daemon, _("{name} does not answer, not even after a restart.", name=daemon.name))

    def stop(self, name: str) -> None:
        """The daemon does not run any more."""
        daemon = self.one(name)
        if systemd_runs():
            run(["systemctl", "disable", "--now", *dict.fromkeys([*daemon.units, *daemon.services])],
                timeout=2 * START_SECONDS, check=False)  # fmt: skip
        else:
            daemon.stop()
        self._remember(self.started() - {name})

    @contextmanager
    def resting(self, name: str) -> Iterator[None]:
        """The daemon does not run meanwhile. Afterwards it runs again where it did before and is not ours."""
        again = name not in self.started() and look(self.one(name)).state in ("running", "unresponsive")
        self.stop(name)
        yield
        if again:
            self.start(name)
            self._remember(self.started() - {name})

    def started(self) -> set[str]:
        """Names of the daemons that we started ourselves."""
        try:
            return set(json.loads(self.record.read_text()))
        except (OSError, ValueError):
            return set()

    def _remember(self, names: set[str]) -> None:
        self.record.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.record.with_suffix(".new")
        fresh.write_text(json.dumps(sorted(names)))
        fresh.replace(self.record)

    @staticmethod
    def _await(daemon: Daemon, otherwise: Message) -> None:
        if not _answers(daemon, START_SECONDS):
            raise DriverError(
                otherwise, retryable=True, private=look(daemon).detail,
                hint=_("Its log says why: see {path}.", path=LOGS[daemon.name]),
            )  # fmt: skip


def _answers(daemon: Daemon, seconds: float) -> bool:
    """Whether it runs and answers within so many seconds."""
    until = time.monotonic() + seconds
    while look(daemon).state != "running":
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


LOGS = {
    "openvswitch": "/var/log/openvswitch",
    "ovn-central": "/var/log/ovn",
    "ovn-controller": "/var/log/ovn/ovn-controller.log",
    "virtlogd": "/var/log/libvirt",
    "libvirt": "/var/log/libvirt",
}


def _wake(pid: int | None) -> None:
    """Let a process that somebody stopped with a signal go on."""
    with suppress(OSError, IndexError):
        if pid and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
            os.kill(pid, signal.SIGCONT)
