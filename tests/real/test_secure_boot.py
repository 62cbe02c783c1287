"""A machine with Secure Boot: from signed loaders to a log-in, and an unsigned one that is not started.

A build of Debian takes 80 seconds and its boot under emulation two minutes: it runs where ``YUN_TEST_DEBIAN=1`` asks
for it.
"""

from __future__ import annotations

import os

import pytest

from tests.real.cloud import STATE, Desk, until
from tests.real.hypervisor_room import CACHE
from tests.real.test_boots import booted, inside, said
from yun.images import builders

pytestmark = [pytest.mark.real, pytest.mark.timeout(1200)]

if os.environ.get("YUN_TEST_DEBIAN") == "1":

    def test_debian_boots_to_a_log_in_where_only_signed_loaders_may(desk: Desk) -> None:
        builders.build("debian-12", CACHE, lambda: None)
        desk.host.run("sh", "-c", f"cp -a {CACHE}/debian-12* {STATE}/builds/")
        desk.yun("image", "build", "debian-12")
        made = desk.yun(
            "instance", "create", "safe", "--image", "debian-12", "--vcpus", "2", "--memory", "1G", "--disk", "4G",
            "--no-start",
        )  # fmt: skip
        identifier = made["id"]
        desk.yun("instance", "configure", identifier, "--firmware", "uefi-secure")
        desk.yun("instance", "start", identifier)
        booted(desk, identifier, 1)
        byte = "od -An -tu1 -j4 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
        assert inside(desk, identifier, byte) == "1"
        assert "Secure boot enabled" in inside(desk, identifier, "dmesg | grep -i 'secure boot'")
        desk.yun("instance", "delete", identifier, "--force")
        desk.yun("instance", "purge", identifier, "--yes")
        desk.yun("image", "delete", "debian-12")


def test_a_loader_that_nobody_signed_is_refused_with_secure_boot(desk: Desk) -> None:
    made = desk.yun("instance", "create", "unsafe", "--image", "tiny", "--flavor", "mini", "--no-start")
    identifier = made["id"]
    desk.yun("instance", "configure", identifier, "--firmware", "uefi-secure")
    desk.yun("instance", "start", identifier)
    until(lambda: "Access Denied" in said(desk, identifier) or "Security Violation" in said(desk, identifier), 120)
    assert "login: " not in said(desk, identifier)
    desk.yun("instance", "delete", identifier, "--force")
    desk.yun("instance", "purge", identifier, "--yes")
