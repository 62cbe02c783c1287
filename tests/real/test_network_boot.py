"""A machine that boots from the network: its firmware asks there for an address, and is answered."""

from __future__ import annotations

import re

import pytest

from tests.real.cloud import YUN, Desk, until

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]
SECONDS = 45


@pytest.mark.parametrize(("firmware", "says"), [("bios", "PXEClient:Arch:00000"), ("uefi", "PXEClient:Arch:00007")])
def test_the_firmware_of_a_machine_asks_its_network_for_an_address(desk: Desk, firmware: str, says: str) -> None:
    made = desk.yun("instance", "create", "pxe", "--image", "tiny", "--flavor", "mini", "--no-start")
    identifier, card = made["id"], made["ports"][0]
    if firmware != "bios":
        desk.yun("instance", "configure", identifier, "--firmware", firmware)
    desk.yun("instance", "boot-order", identifier, "network")
    assert [d["name"] for d in desk.yun("instance", "boot-order", identifier)["order"]] == [card["mac"]]
    desk.yun("instance", "start", identifier)
    desk.yun("port", "capture", card["id"], "--seconds", str(SECONDS), "--filter", "udp port 67")
    record = desk.yun("capture", "list", "--port", card["id"])[0]["id"]
    until(lambda: desk.yun("capture", "show", record)["state"] != "recording", SECONDS + 30)
    file = str(desk.host.directory / f"{firmware}.pcap")
    desk.host.run(YUN, "capture", "download", record, file)
    packets = desk.host.run("tcpdump", "-nvvr", file, check=False)
    assert f"Client-Ethernet-Address {card['mac']}" in packets, packets
    assert says in packets, packets
    for kind in ("Discover", "Offer", "Request", "ACK"):
        assert re.search(rf"DHCP-Message.*53.*: {kind}", packets), packets
    assert f"Your-IP {card['address']}" in packets
    desk.yun("instance", "boot-order", identifier, "disk")
    desk.yun("instance", "delete", identifier, "--force")
    desk.yun("instance", "purge", identifier, "--yes")
