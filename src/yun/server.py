"""The cloud's process: engine, API and panel behind one socket; ends cleanly on SIGTERM."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import ipaddress
import os
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

import click

from yun.base.config import Settings, load
from yun.base.errors import Conflict, Invalid, Unavailable, YunError
from yun.base.messages import _
from yun.web.command import Command, option, say

if TYPE_CHECKING:
    from yun.drivers.bundle import Drivers
    from yun.worker import Cloud

ENDPOINT = "endpoint"


def check_listening(settings: Settings) -> None:
    """Refuse to speak beyond this machine without TLS. Raises `Invalid` naming the setting."""
    try:
        loopback = settings.loopback or ipaddress.ip_address(settings.listen).is_loopback
    except ValueError:
        loopback = False
    if not loopback and not (settings.tls_cert and settings.tls_key):
        raise Invalid(
            _("Listening on {address} needs TLS.", address=settings.listen),
            hint=_("Set YUN_TLS_CERT and YUN_TLS_KEY, or put a proxy with TLS before a loopback address."),
            fields={"listen": _("a loopback address, or tls_cert and tls_key too")},
        )


def bind(settings: Settings) -> socket.socket:
    """The listening socket. Raises `Conflict` where the port is taken."""
    family = socket.AF_INET6 if ":" in settings.listen else socket.AF_INET
    # asyncio asks for no delay only of a socket that names its protocol: else an answer's body, written after its head,
    # waits for the caller's acknowledgement, which comes some 40 ms later.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((settings.listen, settings.port))
    except OSError as error:
        made.close()
        raise Conflict(
            _(
                "Port {port} on {address} cannot be used: {reason}",
                port=settings.port,
                address=settings.listen,
                reason=error.strerror or str(error),
            ),
            hint=_("Stop what uses it, or choose another with YUN_PORT."),
        ) from error
    return made


def spare_memory() -> None:
    """Let all threads share two heaps of the C library: with one for each thread, a third of the memory is holes."""
    arena_max = -8  # M_ARENA_MAX of mallopt(3)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(arena_max, 2)


def take_short_turns() -> None:
    """Let a thread that waits for the interpreter have it after a millisecond, not five: a request is a few short turns
    of two threads, and else waits for each of them while operations are at work."""
    sys.setswitchinterval(0.001)


def address_of(settings: Settings, port: int) -> str:
    """The URL of this process."""
    scheme = "https" if settings.tls_cert else "http"
    host = f"[{settings.listen}]" if ":" in settings.listen else settings.listen
    return f"{scheme}://{host}:{port}"


def run(
    settings: Settings, *, ready: str = "", drivers: Drivers | None = None, seed: Callable[[Cloud], None] | None = None
) -> None:
    """Serve until SIGTERM or SIGINT. ``ready`` is printed with the address once requests are answered; ``seed`` fills
    the database before the engine starts.

    Raises `Conflict` (port or database in use), `Invalid` (settings) and `Unavailable` (database away or too old).
    """
    import uvicorn

    from yun import schema, worker
    from yun.announce import Announcing
    from yun.app import create_app
    from yun.base import log
    from yun.first import begin, claim, prepare
    from yun.identity.secret import write_private

    log.configure(settings.log_level)
    spare_memory()
    take_short_turns()
    check_listening(settings)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with closing(bind(settings)) as listener:
        cloud = worker.build(settings, drivers)
        schema.upgrade(cloud.database)
        prepare(cloud)
        claim(cloud)
        if seed is not None:
            seed(cloud)
        gc.collect()
        gc.freeze()
        cloud.start()
        begin(cloud)
        try:
            url = address_of(settings, listener.getsockname()[1])
            write_private(settings.state_dir / ENDPOINT, f"{url}\n{settings.tls_cert}\n", replace=True)
            config = uvicorn.Config(
                create_app(cloud), log_level="warning", access_log=False, server_header=False, lifespan="off",
                ssl_certfile=settings.tls_cert or None, ssl_keyfile=settings.tls_key or None,
                timeout_graceful_shutdown=5, ws_max_size=1 << 20,
                # Without a proxy in front, a caller's word on where he comes from counts for nothing.
                proxy_headers=bool(settings.public_url),
            )  # fmt: skip
            Announcing(config, f"{ready} {url}" if ready else "").run(sockets=[listener])
        finally:
            cloud.stop()


def fail(error: YunError) -> click.ClickException:
    """A start-up error for the terminal."""
    lines = [say(error.message), *(f"  {name}: {say(text)}" for name, text in error.fields.items())]
    if error.hint:
        lines.append("  " + say(error.hint))
    return click.ClickException("\n".join(lines))


@click.command("serve", cls=Command, help=_("Run the cloud's process: panel, API and engine."))
@option("--listen", help=_("Address to listen on."))
@option("--port", type=int, help=_("TCP port to listen on."))
def serve(listen: str | None, port: int | None) -> None:
    """Serve until it is told to stop."""
    try:
        settings = load(
            {
                **os.environ,
                **({"YUN_LISTEN": listen} if listen else {}),
                **({"YUN_PORT": str(port)} if port is not None else {}),
            }
        )
        run(settings, ready="ready")
    except (Conflict, Invalid, Unavailable) as error:
        raise fail(error) from error


@click.command("version", cls=Command, help=_("The version of this command."))
def version() -> None:
    """Print the version."""
    from yun import __version__

    click.echo(f"yun {__version__}")
