"""Commands of the hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.base.units import MIB, format_size
from yun.web.command import Group, option, output, pass_client, searching

if TYPE_CHECKING:
    from yun.web.client import Client


def _quote(reference: str) -> str:
    from yun.web.client import quote

    return quote(reference, safe="")


def _services(row: Any) -> str:
    return ", ".join(f"{s['name']} {s['state']}" for s in row["services"] if s["state"] != "running") or "–"


def _memory(row: Any) -> str:
    return f"{format_size(row['left_mib'] * MIB)} / {format_size(row['memory_mib'] * MIB)}"


@click.group("host", cls=Group, help=_("Hosts: the machines that carry instances."))
def host() -> None:
    """Hosts."""


@host.command("list", help=_("List hosts."))
@option("--state", help=_("Only those in this state: up, degraded or down."))
@searching("state:up memory>64G without:libvirt text")
@pass_client
def list_(client: Client, state: str | None, q: str | None) -> None:
    """List hosts."""
    columns: list[Any] = [
        (_("NAME"), "name"), (_("STATE"), "state"), (_("ACCEL"), "accel"), (_("CPUS"), "cpus"),
        (_("MEMORY LEFT"), _memory), (_("NOT RUNNING"), _services),
    ]  # fmt: skip
    output(client.items("/hosts", state=state, q=q), columns)


@host.command("show", help=_("Show a host and its services."))
@click.argument("ref")
@pass_client
def show(client: Client, ref: str) -> None:
    """Show a host."""
    found = client.get(f"/hosts/{_quote(ref)}")
    columns: list[Any] = [
        (_("Name"), "name"), (_("State"), "state"), (_("Takes new instances"), "accepts"),
        (_("Acceleration"), lambda r: f"{r['accel']} ({r['accel_text']})"), (_("Datapath"), "datapath"),
        (_("Processors"), lambda r: f"{r['cpus']} × {r['facts'].get('cpu_model', '')}"),
        (_("Memory left"), _memory),
        (_("Memory promised"), lambda r: format_size(r["committed_mib"] * MIB)),
        (_("Overcommit"), lambda r: f"CPU {r['cpu_overcommit']:g} ×, RAM {r['memory_overcommit']:g} ×"),
        (_("Disk free"), lambda r: format_size(r["facts"].get("disk_free_bytes", 0))),
        ("QEMU", "qemu_version"), ("libvirt", "libvirt_version"), (_("Seen"), "seen_at"), ("Id", "id"),
    ]  # fmt: skip
    columns += [(s["name"], lambda _r, s=s: f"{s['state']} {s['version']}".strip()) for s in found["services"]]
    output(found, columns)


@host.command("start-service", help=_("Start a service of a host, such as libvirt."))
@click.argument("ref")
@click.argument("name")
@pass_client
def start_service(client: Client, ref: str, name: str) -> None:
    """Start a service."""
    client.change("POST", f"/hosts/{_quote(ref)}/services/{_quote(name)}/start")


@host.command("update", help=_("Change a host's description and limits."))
@click.argument("ref")
@option("--description", help=_("A line about it."))
@option("--accept/--refuse", "accepts", default=None, help=_("Whether it takes new instances."))
@option("--reserve", "reserved", metavar="SIZE", help=_("Memory kept for the host itself, such as 2G."))
@option("--cpu-overcommit", type=float, help=_("vCPUs that may be promised per processor."))
@option("--memory-overcommit", type=float, help=_("Memory that may be promised, as a multiple of what is there."))
@pass_client
def update(
    client: Client, ref: str, description: str | None, accepts: bool | None, reserved: str | None,
    cpu_overcommit: float | None, memory_overcommit: float | None,
) -> None:  # fmt: skip
    """Change limits."""
    from yun.base.units import parse_size

    reserved_mib = parse_size(reserved, field="reserve", default_unit="m") // MIB if reserved else None
    body = {
        "description": description, "accepts": accepts, "reserved_mib": reserved_mib,
        "cpu_overcommit": cpu_overcommit, "memory_overcommit": memory_overcommit,
    }  # fmt: skip
    client.change("PATCH", f"/hosts/{_quote(ref)}", {k: v for k, v in body.items() if v is not None})


commands = [host]
