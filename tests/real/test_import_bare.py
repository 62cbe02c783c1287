"""A machine that comes as an OVA and whose guest knows neither cloud-init nor the agent: it is taken in as it is."""

from __future__ import annotations

import json

import pytest

from tests.real.cloud import STATE, YUN, Desk, until
from tests.real.hypervisor_room import CACHE
from tests.real.test_boots import booted, inside, said
from yun.images import builders

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


def test_a_guest_without_cloud_init_and_agent_stays_as_it_was_and_that_is_said(desk: Desk) -> None:
    builders.build("tiny-generic", CACHE, lambda: None)
    desk.host.run("sh", "-c", f"cp -a {CACHE}/tiny-generic* {STATE}/builds/")
    desk.yun("image", "build", "tiny-generic")
    source = desk.yun("instance", "create", "source", "--image", "tiny-generic", "--flavor", "mini")["id"]
    booted(desk, source)
    keys = inside(desk, source, "cat /etc/shadow /etc/passwd | sha256sum")
    desk.yun("instance", "stop", source)
    file = str(desk.host.directory / "bare.ova")
    desk.yun("instance", "export", source, file)
    desk.yun("instance", "delete", source, "--force")
    desk.yun("instance", "purge", source, "--yes")

    told = desk.yun("--dry-run", "instance", "import", file, "bare")
    assert "SSH host keys and machine ID stay" in json.dumps(told)
    desk.yun("instance", "import", file, "bare")
    bare = desk.shown("bare")
    assert bare["state"] == "stopped"
    desk.yun("instance", "configure", "bare", "--no-agent")
    desk.yun("instance", "start", "bare")
    until(lambda: "login: " in said(desk, bare["id"]), 240)
    assert "source login: " in said(desk, bare["id"]), "its host name is the old one, not bare"
    assert desk.shown("bare")["agent"] is False
    refused = desk.host.run("sh", "-c", f"echo geheim | {YUN} instance set-password bare --user root 2>&1", check=False)
    assert "agent" in refused
    desk.yun("instance", "stop", "bare", "--force")
    desk.yun("instance", "configure", "bare", "--agent")
    desk.yun("instance", "start", "bare")
    booted(desk, bare["id"], 2)
    assert inside(desk, bare["id"], "hostname") == "source"
    assert inside(desk, bare["id"], "cat /etc/shadow /etc/passwd | sha256sum") == keys
    assert bare["ports"][0]["address"] in inside(desk, bare["id"], "ip -4 addr"), "it asks by DHCP and is answered"
    desk.yun("instance", "delete", "bare", "--force")
    desk.yun("instance", "purge", "bare", "--yes")
    desk.yun("image", "delete", "tiny-generic")
    desk.yun("trash", "purge", "tiny-generic", "--yes")
