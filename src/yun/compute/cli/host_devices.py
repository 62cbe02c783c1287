"""Commands of host devices: host devices, instance add-host-device, instance remove-host-device."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from yun.base.messages import _
from yun.compute.cli.shared import at, instance
from yun.hosts.cli import host
from yun.web.client import Client
from yun.web.command import option, output, pass_client


@host.command("devices", help=_("List the PCI and USB devices of a host, and who has them."))
@click.argument("ref")
@pass_client
def devices(client: Client, ref: str) -> None:
    """List devices."""
    columns: list[Any] = [
        (_("ADDRESS"), "address"), (_("KIND"), lambda r: r["kind"].upper()), (_("DEVICE"), "name"),
        (_("ID"), lambda r: f"{r['vendor_id']}:{r['product_id']}"), (_("SERIAL"), lambda r: r["serial"] or "–"),
        (_("DRIVER"), lambda r: r["driver"] or "–"),
        (_("GROUP"), lambda r: "–" if r["iommu_group"] is None else str(r["iommu_group"])),
        (_("TOGETHER WITH"), lambda r: ", ".join(r["group"]) or "–"),
        (_("INSTANCE"), lambda r: r["instance_name"] or "–"), (_("NOT TO GIVE BECAUSE"), lambda r: r["reason"] or "–"),
    ]  # fmt: skip
    output(client.items(f"/hosts/{quote(ref, safe='')}/devices"), columns)


@instance.command("add-host-device", help=_("Give an instance a PCI or USB device of its host for itself."))
@click.argument("ref")
@click.argument("device")
@option("--with-group", is_flag=True, help=_("The other devices of its IOMMU group too."))
@pass_client
def add_host_device(client: Client, ref: str, device: str, with_group: bool) -> None:
    """Give a device."""
    client.change("POST", at(ref, "add-host-device"), {"device": device, "with_group": with_group})


@instance.command("remove-host-device", help=_("Take a device of its host from an instance."))
@click.argument("ref")
@click.argument("device")
@option("--timeout", type=int, default=30, show_default=True, help=_("Seconds a running guest has to let go of it."))
@pass_client
def remove_host_device(client: Client, ref: str, device: str, timeout: int) -> None:
    """Take a device back."""
    client.change("POST", at(ref, "remove-host-device"), {"device": device, "timeout": timeout})
