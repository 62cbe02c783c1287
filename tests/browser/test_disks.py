"""Disks, volumes and the boot order by hand: several disks at once, limits, a file that becomes a volume."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Cloud, settle
from yun.base.units import GIB, MIB

pytestmark = pytest.mark.browser


def with_disks(cloud: Cloud, machine: Any, name: str, *names: str) -> str:
    """A running machine that has these disks besides its own; its id."""
    identifier: str = machine(name)["id"]
    for disk in names:
        cloud.api("POST", f"/instances/{identifier}/add-disk", {"size_bytes": GIB, "name": disk})
        settle(cloud, identifier)
    return identifier


def until(so: Callable[[], bool]) -> None:
    """Wait until it is so."""
    for _attempt in range(300):
        if so():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come to be so")


def dialog_of(page: Page) -> Locator:
    """The open dialog."""
    dialog = page.locator("#dialog[open]")
    expect(dialog).to_be_visible()
    return dialog


def test_ticked_disks_are_detached_together_and_one_goes_to_the_trash(page: Page, cloud: Cloud, machine: Any) -> None:
    identifier = with_disks(cloud, machine, "shedding", "shed-kept", "shed-gone", "shed-stays")
    page.goto(f"/instances/{identifier}/disks")
    for name in ("shed-kept", "shed-gone"):
        page.get_by_label(f"Choose {name}").check()
    page.get_by_role("button", name="Detach the ticked disks").click()
    dialog = dialog_of(page)
    for name in ("shed-kept", "shed-gone"):
        expect(dialog).to_contain_text(name)
    expect(dialog).not_to_contain_text("shed-stays")
    dialog.get_by_label(re.compile("shed-gone: into the trash")).check()
    dialog.get_by_role("button", name="Detach", exact=True).click()
    expect(page.locator("#dialog[open]")).to_have_count(0)
    rows = page.locator("#disks tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.last).to_contain_text("shed-stays")
    page.goto("/volumes?q=shed")
    kept = page.locator("#list tbody tr", has_text="shed-kept")
    expect(kept).to_be_visible()
    expect(page.locator("#list tbody tr", has_text="shed-gone")).to_have_count(0)
    page.goto("/trash")
    expect(page.locator("#list tbody tr", has_text="shed-gone")).to_be_visible()


def test_the_boot_order_is_sorted_by_buttons_and_by_keyboard(page: Page, cloud: Cloud, machine: Any) -> None:
    identifier = with_disks(cloud, machine, "sorting", "sort-data")
    page.goto(f"/instances/{identifier}/boot-order")
    lines = page.locator("[data-sortable] > li")
    card = lines.filter(has_text="network card")
    expect(lines.first).to_contain_text("disk vda")
    expect(page.locator("#plan .plan-title")).to_have_text("Change the boot order of instance sorting")

    card.get_by_role("checkbox").check()
    earlier = card.get_by_role("button", name=re.compile("earlier"))
    while "network card" not in lines.first.inner_text():
        earlier.click()
    expect(earlier).to_be_focused()
    earlier.click()
    expect(lines.first).to_contain_text("network card")
    expect(page.locator("#plan")).to_contain_text(re.compile(r"in this order: [0-9a-f:]{17}, vda\."))

    page.keyboard.press("Tab")
    expect(card.get_by_role("button", name=re.compile("later"))).to_be_focused()
    page.keyboard.press("Enter")
    expect(lines.first).to_contain_text("disk vda")
    page.keyboard.press("Space")
    expect(lines.nth(2)).to_contain_text("network card")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    expect(lines.nth(1)).to_contain_text("network card")
    expect(page.locator("#plan")).to_contain_text(re.compile(r"in this order: vda, [0-9a-f:]{17}\."))

    cloud.api("PUT", f"/instances/{identifier}/boot-order", {"devices": ["sort-data"]})
    settle(cloud, identifier)
    save = page.get_by_role("button", name="Save", exact=True)
    save.click()
    marked = page.locator("[data-field=devices].is-wrong")
    expect(marked.locator("[data-wrong]")).to_have_text("meanwhile: vdb")
    save.click()
    expect(page).to_have_url(re.compile("/settings$"))
    settle(cloud, identifier)
    order = cloud.api("GET", f"/instances/{identifier}/boot")["order"]
    assert [device["kind"] for device in order] == ["disk", "network"], "who saves again means it"


def test_a_file_becomes_a_volume_and_a_wrong_checksum_is_told_first(page: Page, cloud: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "old server.img"
    file.write_bytes(b"\0" * 510 + b"\x55\xaa" + b"\0" * (MIB - 512))
    page.goto("/volumes")
    page.get_by_role("link", name="Upload a volume").click()
    send = page.get_by_role("button", name="Upload", exact=True)
    page.set_input_files("[name=file]", file)
    page.fill("[name=name]", "up-whole")
    page.fill("[name=checksum]", "sha256:nonsense")
    send.click()
    expect(page.locator(".toast-box")).to_contain_text("not a usable checksum")
    expect(page.locator("[name=name]")).to_have_value("up-whole")
    assert cloud.api("GET", "/volumes?q=up-whole")["items"] == []
    page.fill("[name=checksum]", f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}")
    send.click()
    expect(page).to_have_url(re.compile("/volumes$"))
    line = page.locator("#list tbody tr", has_text="up-whole")
    expect(line).to_be_visible()
    made = cloud.api("GET", "/volumes?q=up-whole")["items"][0]["id"]
    until(lambda: cloud.api("GET", f"/volumes/{made}")["state"] == "available")
    page.goto("/volumes?q=up-whole")
    expect(line).to_contain_text("available")
    expect(line).to_contain_text("1 MiB")


def test_a_disk_is_limited_and_a_wrong_limit_is_marked(page: Page, cloud: Cloud, machine: Any) -> None:
    identifier = machine("limiting")["id"]
    page.goto(f"/instances/{identifier}/disks/new")
    page.locator("summary", has_text="More settings").click()
    page.fill("[name=name]", "limit-data")
    page.get_by_label("Requests: Limit").fill("500")
    page.get_by_label("Reads: Limit").fill("100")
    add = page.locator("main form").get_by_role("button", name="Add disk")
    add.click()
    wrong = page.locator("[data-field=read_iops_sec].is-wrong")
    expect(wrong.locator("[data-wrong]")).to_have_text("not together with a total")
    expect(page.get_by_label("Requests: Limit")).to_have_value("500")
    page.get_by_label("Reads: Limit").fill("")
    page.get_by_label("Bytes: Limit").fill("10M")
    add.click()
    expect(page).to_have_url(re.compile("/disks$"))
    line = page.locator("#disks tbody tr", has_text="limit-data")
    expect(line).to_contain_text("500")

    settle(cloud, identifier)
    line.get_by_role("link", name="Change", exact=True).click()
    expect(page.get_by_label("Bytes: Limit")).to_have_value("10M")
    page.get_by_label("Bytes: Limit").fill("a lot")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("[data-field=total_bytes_sec].is-wrong")).to_be_visible()
    page.get_by_label("Bytes: Limit").fill("")
    expect(page.locator("#plan")).to_contain_text("at once")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page).to_have_url(re.compile("/disks$"))
    settle(cloud, identifier)
    disk = next(d for d in cloud.api("GET", f"/instances/{identifier}")["disks"] if d["name"] == "limit-data")
    assert disk["limits"] == {"total_iops_sec": 500}
