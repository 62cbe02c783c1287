"""Commands of recordings of packets, and of what goes through ports."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.base.units import format_size, parse_size
from yun.network.cli.ports import port
from yun.network.cli.shared import given, quote
from yun.web.command import Failure, Group, option, output, pass_client, say, searching, shell

if TYPE_CHECKING:
    from yun.web.client import Client

COLUMNS: list[Any] = [
    (_("PORT"), "port_name"), (_("STATE"), "state"),
    (_("PACKETS"), lambda r: "–" if r["packets"] is None else r["packets"]),
    (_("SIZE"), lambda r: format_size(r["size"])), (_("FILTER"), lambda r: r["filter"] or "–"),
    (_("BY"), "made_by"), (_("CREATED"), "created_at"), (_("ID"), "id"),
]  # fmt: skip


@port.command("metrics", help=_("What goes through a port now: rates of its machine, and drops."))
@click.argument("ref")
@pass_client
def port_metrics(client: Client, ref: str) -> None:
    """Metrics."""
    found = client.get(f"/ports/{quote(ref)}/metrics")
    if shell().format != "table":
        output(found)
        return

    def rate(key: str) -> Any:
        return lambda row: f"{format_size(row[key])}/s" if row[key] is not None else "–"

    def number(key: str) -> Any:
        return lambda row: f"{row[key]:.0f}/s" if row[key] is not None else "–"

    columns: list[Any] = [
        (_("AT"), "at"), (_("IN"), rate("bytes_in")), (_("OUT"), rate("bytes_out")),
        (_("PACKETS IN"), number("packets_in")), (_("PACKETS OUT"), number("packets_out")),
        (_("DROPPED"), lambda r: r["total"]["dropped_in"] + r["total"]["dropped_out"]),
    ]  # fmt: skip
    output(found["points"][-10:], columns)


@port.command("capture", help=_("Record packets of a port into a file that Wireshark reads."))
@click.argument("ref")
@option("--filter", "words", help=_("What is recorded, such as 'tcp host 10.1.0.7 port 80'; everything by default."))
@option("--seconds", type=int, help=_("How long: 1 to 600; 60 by default."))
@option("--size", help=_("How much at most: up to 100M; 10M by default."))
@pass_client
def capture(client: Client, ref: str, words: str | None, seconds: int | None, size: str | None) -> None:
    """Record."""
    body = given(filter=words, seconds=seconds, max_bytes=parse_size(size) if size else None)
    client.change("POST", f"/ports/{quote(ref)}/capture", body)


@click.group("capture", cls=Group, help=_("Recordings of packets of ports; begun by yun port capture."))
def captures() -> None:
    """Recordings."""


@captures.command("list", help=_("List recordings of packets."))
@option("--port", "port_id", metavar="ID", help=_("Only those of this port."))
@searching("state:complete by:li")
@pass_client
def list_captures(client: Client, port_id: str | None, q: str | None) -> None:
    """List."""
    output(client.items("/captures", port_id=port_id, q=q), COLUMNS)


@captures.command("show", help=_("Show a recording."))
@click.argument("ref")
@pass_client
def show_capture(client: Client, ref: str) -> None:
    """Show."""
    output(client.get(f"/captures/{quote(ref)}"), COLUMNS)


@captures.command("download", help=_("Save recorded packets to a file, or to standard output with -."))
@click.argument("ref")
@click.argument("file", required=False)
@pass_client
def download(client: Client, ref: str, file: str | None) -> None:
    """Download."""
    found = client.get(f"/captures/{quote(ref)}")
    target = Path(file or f"{found['id']}.pcap")
    with client.http.stream("GET", f"/captures/{found['id']}/file") as response:
        if response.is_error:
            response.read()
            raise Failure(response.json())
        if file == "-":
            for chunk in response.iter_raw():
                sys.stdout.buffer.write(chunk)
            return
        with target.open("wb") as into:
            for chunk in response.iter_raw():
                into.write(chunk)
    click.echo(say(_("Saved {path}: {size}.", path=str(target), size=format_size(target.stat().st_size))))


@captures.command("stop", help=_("Stop recording; what it has so far stays."))
@click.argument("ref")
@pass_client
def stop(client: Client, ref: str) -> None:
    """Stop."""
    client.change("POST", f"/captures/{quote(ref)}/stop")


@captures.command("delete", help=_("Delete recorded packets for good."))
@click.argument("ref")
@pass_client
def delete(client: Client, ref: str) -> None:
    """Delete."""
    client.change("DELETE", f"/captures/{quote(ref)}")
