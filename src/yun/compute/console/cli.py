"""Commands of consoles: `yun console`, `yun ssh`, and an instance's log, picture and keys."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.web.command import Command, Failure, failure, option, output, pass_client, say, shell

if TYPE_CHECKING:
    from yun.web.client import Client

RECONNECT_SECONDS = 60.0
TEXTS = {
    "waiting": _("The instance is not running; this goes on when it starts."),
    "connected": _("Connected. Ctrl-] then q leaves, r tells the guest the terminal's size, ? helps."),
    "lost": _("The connection was lost; connecting again."),
    "left": _("Left the console."),
    "ended": _("The console has ended."),
    "keys": _("After Ctrl-]: q leaves, r types the terminal's size to the guest's shell, Ctrl-] sends itself."),
}


def _at(reference: str, *rest: str) -> str:
    from urllib.parse import quote

    return "/".join(["/instances", quote(reference, safe=""), *rest])


@click.command("console", cls=Command, help=_("Open an instance's serial console in this terminal."))
@click.argument("ref")
@option("--history", type=click.IntRange(0, 262144), default=16384, help=_("Bytes of earlier output to show."))
@pass_client
def console(client: Client, ref: str, history: int) -> None:
    """Keys go to the serial port, its output comes here; others may watch and type at the same time."""
    from yun.compute.console.terminal import Session, raw

    end = time.monotonic() + RECONNECT_SECONDS
    first = True
    with raw(sys.stdin.fileno()):
        while True:
            try:
                with _connect(client, ref, history) as socket:
                    session = Session(socket, _told)
                    left = session.run()
            except (Failure, OSError):
                if first or time.monotonic() > end:
                    raise
                time.sleep(1)
                continue
            if left or session.code in (1000, 4403, 4503):
                break
            _told("lost")
            first, history, end = False, 4096, time.monotonic() + RECONNECT_SECONDS
    _told("left" if left else "ended")


def _told(state: str) -> None:
    if state in TEXTS:
        click.echo(f"\r\n[{say(TEXTS[state])}]\r", err=True)


def _connect(client: Client, ref: str, history: int) -> Any:
    return connect_console(client, ref, "serial", f"&history={history}")


def connect_console(client: Client, ref: str, kind: str, rest: str = "") -> Any:
    """An open WebSocket of a fresh ticket. `Failure` where it is refused."""
    from websockets.exceptions import InvalidHandshake, InvalidStatus
    from websockets.sync.client import connect

    ticket = client.send("POST", _at(ref, "console-tickets"), json={"kind": kind}).json()
    url = "ws" + client.target.url.removeprefix("http") + f"{ticket['path']}{rest}"
    headers = {"Authorization": f"Bearer {client.target.token}"} if client.target.token else {}
    trust: Any = client.trust() or None
    try:
        return connect(
            url, additional_headers=headers, ssl=trust, max_size=None, open_timeout=20, proxy=None,
            compression=None,
        )  # fmt: skip
    except InvalidStatus as error:
        raise Failure(problem_in(error.response.body)) from error
    except InvalidHandshake as error:
        reason = _("The console was refused: {reason}", reason=str(error))
        raise failure(reason, "unavailable") from error


def problem_in(body: bytes | bytearray | None) -> dict[str, Any]:
    """The problem that a refused handshake carries."""
    import json

    try:
        found = json.loads(body or b"")
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"detail": say(_("The console was refused.")), "code": "forbidden"}


@click.command("spice", cls=Command, help=_("Open an instance's SPICE screen in remote-viewer."))
@click.argument("ref")
@option("--port", type=click.IntRange(0, 65535), default=0, help=_("Local port for the viewer; a free one by default."))
@option(
    "--file", type=click.Path(dir_okay=False, path_type=Path),
    help=_("Write the .vv file here and wait, instead of starting remote-viewer."),
)  # fmt: skip
@pass_client
def spice(client: Client, ref: str, port: int, file: Path | None) -> None:
    """A local port that leads through the cloud's one port to the screen, for as long as the viewer is open."""
    from yun.compute.console.bridge import Bridge, connection_file

    found = client.get(_at(ref))
    if shell().dry_run:
        raise failure(_("This command changes nothing: there is nothing to preview."), "invalid")
    viewer = shutil.which("remote-viewer")
    if file is None and viewer is None:
        raise failure(
            _("The program remote-viewer is not installed here."), "error",
            _("Install it: apt install virt-viewer; or write a file for it elsewhere with --file."),
        )  # fmt: skip
    connect_console(client, found["id"], "spice").close()  # says at once what would be refused
    with Bridge(lambda: connect_console(client, found["id"], "spice"), port) as bridge:
        text = connection_file(found["name"], bridge.port)
        if file is not None:
            file.write_text(text)
            told = _("Open {file} with remote-viewer. Ctrl-C ends this.", file=str(file))
            click.echo(say(told), err=True)
            bridge.wait()
        else:
            bridge.view([str(viewer)], text)


@click.command(
    "ssh", cls=Command, help=_("Log in to an instance by SSH."), context_settings={"ignore_unknown_options": True}
)
@click.argument("ref")
@option("-l", "--user", help=_("Who to log in as; the image's default user otherwise."))
@option("-i", "--identity", type=click.Path(exists=True, dir_okay=False), help=_("Private key file."))
@click.argument("rest", nargs=-1, type=click.UNPROCESSED)
@pass_client
def ssh(client: Client, ref: str, user: str | None, identity: str | None, rest: tuple[str, ...]) -> None:
    """Find user, key and address, and run ssh; what follows goes to it: options, then a command."""
    target = client.get(_at(ref, "ssh"))
    command = ssh_command(target, user, identity, rest)
    program = shutil.which("ssh")
    if program is None:
        raise failure(_("The program ssh is not installed here."), "error", _("Install it: apt install openssh-client"))
    if shell().dry_run:
        output({"command": command}, [(_("Command"), lambda row: " ".join(row["command"]))])
        return
    os.execv(program, command)


def ssh_command(target: dict[str, Any], user: str | None, identity: str | None, rest: tuple[str, ...]) -> list[str]:
    """The command line of ssh for what ``GET …/ssh`` says. `Failure` where the instance has no address."""
    if not target["addresses"]:
        raise failure(
            _("The instance has no address."), "conflict", _("Give it a network, or use `yun console` instead.")
        )
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "yun"
    config.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = [identity] if identity else [str(path) for path in local_keys(target["keys"])]
    who = user or target["user"]
    return [
        "ssh",
        *(part for key in keys for part in ("-i", key)),
        *(("-l", who) if who else ()),
        "-o", "StrictHostKeyChecking=accept-new",
        "-o", f"UserKnownHostsFile={config / 'known_hosts'}",
        # The same address is another machine's tomorrow; the id never is.
        "-o", f"HostKeyAlias={target['instance_id']}",
        str(target["addresses"][0]),
        *rest,
    ]  # fmt: skip


def local_keys(public: list[str]) -> list[Path]:
    """Private keys here whose public half the instance was given: the person's own, and the cloud's on its machine."""
    known = {" ".join(line.split()[:2]) for line in public}
    state = Path(os.environ.get("YUN_STATE_DIR", "/var/lib/yun"))
    found = []
    for folder in (Path.home() / ".ssh", state / "ssh"):
        try:
            halves = sorted(folder.glob("*.pub"))
        except OSError:
            continue
        for half in halves:
            try:
                mine = " ".join(half.read_text().split()[:2])
            except (OSError, UnicodeDecodeError):
                continue
            if mine in known and half.with_suffix("").exists():
                found.append(half.with_suffix(""))
    return found


@click.command("log", cls=Command, help=_("What an instance printed on its serial port."))
@click.argument("ref")
@option("--tail", type=click.IntRange(1, 262144), default=65536, help=_("Bytes from the end."))
@pass_client
def log(client: Client, ref: str, tail: int) -> None:
    """Print the log; with ``-o json`` as one document."""
    text = client.send("GET", _at(ref, "log"), params={"tail": tail}).text
    if shell().format == "table":
        if sys.stdout.isatty():  # what a guest prints must not act on the terminal
            text = "".join(c if c.isprintable() or c in "\n\t" else "" for c in text)
        click.echo(text, nl=not text.endswith("\n"))
    else:
        output({"log": text}, [])


@click.command("screenshot", cls=Command, help=_("Save a picture of an instance's screen."))
@click.argument("ref")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@option("--width", type=click.IntRange(16, 1920), help=_("Scale down to this width in pixels."))
@pass_client
def screenshot(client: Client, ref: str, file: Path, width: int | None) -> None:
    """Write a PNG file; ``-`` writes to standard output."""
    picture = client.send("GET", _at(ref, "screenshot"), params={"width": width}).content
    if str(file) == "-":
        sys.stdout.buffer.write(picture)
        return
    file.write_bytes(picture)
    output({"file": str(file), "bytes": len(picture)}, [(_("File"), "file"), (_("Bytes"), "bytes")])


@click.command("send-keys", cls=Command, help=_("Press keys on an instance's keyboard, Ctrl-Alt-Del by default."))
@click.argument("ref")
@click.argument("keys", nargs=-1)
@pass_client
def send_keys(client: Client, ref: str, keys: tuple[str, ...]) -> None:
    """Such as ``ctrl alt f2``."""
    body = {"keys": list(keys)} if keys else {}
    pressed = client.send("POST", _at(ref, "send-keys"), json=body).json()
    output(pressed, [(_("Keys"), "keys")])


@click.command("type-text", cls=Command, help=_("Type text on an instance's keyboard (US layout)."))
@click.argument("ref")
@click.argument("text")
@pass_client
def type_text(client: Client, ref: str, text: str) -> None:
    """At most 1000 characters."""
    typed = client.send("POST", _at(ref, "type-text"), json={"text": text}, timeout=120).json()
    output(typed, [(_("Characters typed"), "typed")])


verbs = [console, spice, ssh, log, screenshot, send_keys, type_text]
"""What belongs under ``yun instance``."""
