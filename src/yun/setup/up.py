"""`yun up`: brings the cloud up on this machine, stage by stage; a second run leaves what is in place as it is."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from yun.base.config import Settings, load
from yun.base.errors import Conflict, Invalid, Unavailable
from yun.base.messages import Message, _
from yun.base.units import GIB, MIB, format_size
from yun.drivers.host.linux import LinuxMachine
from yun.server import address_of, check_listening
from yun.setup import build, hello, packages, process
from yun.setup.daemons import known_name, start_daemons
from yun.setup.doctor import HYPERVISOR_USER, closed_directory
from yun.setup.stage import StageFailed, Tell
from yun.web.client import Client, find_target
from yun.web.command import Failure, Shell, say

COMMAND = Path("/usr/local/bin/yun")
ANSWER_SECONDS = 60.0
HOST_SECONDS = 60.0
LEAST_FREE = 1 * GIB


@dataclass(frozen=True)
class Wish:
    """What `yun up` was asked: with the machine ``hello``, in the foreground, another address to listen on."""

    hello: bool = True
    foreground: bool = False
    listen: str | None = None
    port: int | None = None


def bring_up(wish: Wish, environ: Mapping[str, str]) -> None:
    """The cloud runs and its panel answers; with ``wish.hello`` a machine answers SSH too. Raises `StageFailed`."""
    tell = Tell()
    with tell.stage(_("settings"), _("Correct the setting, or remove it.")) as done:
        extra = {"YUN_LISTEN": wish.listen} if wish.listen else {}
        extra |= {"YUN_PORT": str(wish.port)} if wish.port is not None else {}
        environ = process.recall({**environ, **extra})
        settings = load(environ)
        check_listening(settings)
        if os.geteuid() != 0:
            raise Invalid(_("This needs root."), hint=Message("sudo yun up"))
        done(_("state in {path}", path=str(settings.state_dir)))
    variables = process.environment(settings, environ)
    prepare_directory(settings, tell)
    with only_one(settings):
        process.keep_asked(settings, extra, environ)
        machine = LinuxMachine(settings)
        _look_at_packages(tell)
        start_daemons(machine, tell, known_name(settings))
        with tell.stage(_("panel"), _("See that the npm registry can be reached, and run this again.")) as done:
            done(_("built") if build.build() else _("already built"))
        _link_command(tell)
        child = _serve(settings, variables, tell, foreground=wish.foreground)
        try:
            client = _client(settings)
            _await_host(client, tell)
            address = None
            if wish.hello:
                address = hello.make(client, settings, tell)
            else:
                hello.first_image(client, settings, tell)
            _report(settings, address, tell)
        except BaseException:
            if child is not None:
                _end(child)
            raise
    if child is not None:
        sys.exit(_follow(child))


@contextmanager
def only_one(settings: Settings) -> Iterator[None]:
    """One `yun up` or `yun down` at a time on this state directory."""
    with (settings.state_dir / "setup.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            busy = _("Another yun up or yun down is at work in {path}.", path=str(settings.state_dir))
            raise StageFailed(_("lock"), say(busy), say(_("Wait until it has ended."))) from error
        yield


def prepare_directory(settings: Settings, tell: Tell) -> None:
    """The state directory exists, can be entered by the hypervisor, and keeps its secrets from everybody else."""
    state = settings.state_dir
    with tell.stage(_("state directory"), _("Choose another directory with YUN_STATE_DIR.")) as done:
        state.mkdir(parents=True, exist_ok=True)
        state.chmod(0o711)
        (state / "log").mkdir(exist_ok=True)
        (state / "log").chmod(0o700)
        closed = closed_directory(state)
        if closed is not None:
            raise Invalid(
                _("{path} cannot be entered by {user}, so no instance could open its disk.", path=closed,
                  user=HYPERVISOR_USER),
                hint=_("chmod o+x {path}, or choose another directory with YUN_STATE_DIR.", path=closed),
            )  # fmt: skip
        if settings.url.startswith("sqlite:///"):
            database = Path(settings.url.removeprefix("sqlite:///"))
            os.close(os.open(database, os.O_RDWR | os.O_CREAT, 0o600))
            database.chmod(0o600)
        space = os.statvfs(state)
        free = space.f_bavail * space.f_frsize
        if free < LEAST_FREE:
            raise Invalid(
                _("Only {free} are free in {path}; {need} are needed.", free=format_size(free), path=str(state),
                  need=format_size(LEAST_FREE)),
                hint=_("Make room, or choose another directory with YUN_STATE_DIR."),
            )  # fmt: skip
        done(_("{path}, {free} free", path=str(state), free=format_size(free)))


def _look_at_packages(tell: Tell) -> None:
    with tell.stage(_("packages")) as done:
        missing = packages.missing()
        if missing:
            names = " ".join(missing)
            raise Unavailable(
                _("These distribution packages are missing: {names}.", names=names),
                hint=_("Run ./up, or: {command}", command=f"apt-get install {names}"),
            )
        done(_("all installed"))


def _link_command(tell: Tell) -> None:
    """`yun` can be called by its name; a stranger's command of that name is left alone."""
    with tell.stage(_("command")) as done:
        ours = Path(process.program())
        if COMMAND.is_symlink() and not COMMAND.exists():
            COMMAND.unlink()
        if not COMMAND.exists() and COMMAND.parent.is_dir():
            COMMAND.symlink_to(ours)
        done(Message(str(COMMAND if COMMAND.exists() and COMMAND.resolve() == ours.resolve() else ours)))


def _serve(
    settings: Settings, variables: Mapping[str, str], tell: Tell, *, foreground: bool
) -> subprocess.Popen[bytes] | None:
    """`yun serve` of this version and these settings runs and answers; the child where it is to stay ours."""
    with tell.stage(Message("yun serve"), _("See {path}.", path=str(process.log_file(settings)))) as done:
        known = process.running(settings)
        fresh = process.fingerprint(variables)
        if known is not None and not foreground and known.fingerprint == fresh and _answers(settings):
            done(_("already running, process {pid}", pid=known.pid))
            return None
        if known is not None:
            process.stop(settings)
        elif settings.port and _port_taken(settings):
            raise Conflict(
                _("Port {port} on {address} is taken by another program.", port=settings.port, address=settings.listen),
                hint=_("Stop it, or choose another port with YUN_PORT."),
            )
        (settings.state_dir / "endpoint").unlink(missing_ok=True)
        child = process.start_child(settings, variables) if foreground else None
        try:
            if child is None:
                process.start(settings, variables)
            pid = _await_answer(settings, child)
        except BaseException:
            if child is not None:
                _end(child)
            raise
        done(_("restarted, process {pid}", pid=pid) if known else _("started, process {pid}", pid=pid))
        return child


def _await_answer(settings: Settings, child: subprocess.Popen[bytes] | None) -> int:
    """Wait until `yun serve` answers; its pid. Raises `Unavailable` where it ends, or takes too long."""
    until = time.monotonic() + ANSWER_SECONDS
    while not _answers(settings):
        ended = process.running(settings) is None if child is None else child.poll() is not None
        if ended or time.monotonic() > until:
            raise process.why_it_ended(settings, child=child is not None)
        time.sleep(0.1)
    if child is not None:
        return child.pid
    running = process.running(settings)
    return running.pid if running else 0


def _client(settings: Settings) -> Client:
    os.environ["YUN_STATE_DIR"] = str(settings.state_dir)
    for name in ("YUN_URL", "YUN_TOKEN"):
        os.environ.pop(name, None)
    return Client(find_target(), Shell(format="table", wait=True))


def _answers(settings: Settings) -> bool:
    if not (settings.state_dir / "endpoint").exists():
        return False
    with suppress(Failure):
        client = _client(settings)
        try:
            client.get("/whoami")
        finally:
            client.close()
        return True
    return False


def _port_taken(settings: Settings) -> bool:
    import socket

    with suppress(OSError), socket.create_connection((settings.listen, settings.port), timeout=1):
        return True
    return False


def _await_host(client: Client, tell: Tell) -> None:
    """The cloud has looked at this host and found it healthy."""
    with tell.stage(_("host"), _("See what is wrong with: yun doctor")) as done:
        until = time.monotonic() + HOST_SECONDS
        while True:
            found: list[dict[str, Any]] = list(client.items("/hosts"))
            if found and found[0]["state"] == "up":
                break
            if time.monotonic() > until:
                sick = [s["title"] for h in found for s in h["services"] if s["state"] != "running"]
                raise Unavailable(
                    _("The host is not up: {names}", names=", ".join(sick)) if sick else _("The host was not examined.")
                )
            time.sleep(0.2)
        first = found[0]
        size = format_size(first["memory_mib"] * MIB)
        done(_("{name}: {cpus} processors, {memory}", name=first["name"], cpus=first["cpus"], memory=size))


def _report(settings: Settings, address: str | None, tell: Tell) -> None:
    url = find_target().url or address_of(settings, settings.port)
    password = settings.state_dir / "admin.password"
    lines = [
        (_("Panel"), url),
        (_("User"), "admin"),
        (_("Password"), say(_("in {path}", path=str(password))) if password.exists() else say(_("the one you set"))),
    ]
    if settings.loopback:
        lines.append((_("From afar"), f"ssh -L {settings.port}:127.0.0.1:{settings.port} root@{LinuxMachine.name()}"))
    if address:
        where = _("{url}/instances, then hello, then Console; or: yun console hello", url=url)
        lines.append((_("Console"), say(where)))
        lines.append((_("SSH"), f"yun ssh hello   ({address})"))
    click.echo("")
    for label, text in lines:
        click.echo(f"  {say(label)}: {text}")
    if not settings.loopback and process.asked(settings).get("YUN_LISTEN") == settings.listen:
        kept = _(
            "It listens on {address} until it is told otherwise: {command}", address=settings.listen,
            command="./up --listen 127.0.0.1",
        )  # fmt: skip
        click.echo(f"  {say(kept)}")


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    with suppress(subprocess.TimeoutExpired):
        child.wait(process.ENDING_SECONDS)
        return
    child.kill()
    child.wait()


def _follow(child: subprocess.Popen[bytes]) -> int:
    """Stay until the child ends; our own SIGTERM and SIGINT are handed on to it."""

    def hand_on(number: int, _frame: object) -> None:
        with suppress(ProcessLookupError):
            child.send_signal(number)

    signal.signal(signal.SIGTERM, hand_on)
    signal.signal(signal.SIGINT, hand_on)
    return child.wait()
