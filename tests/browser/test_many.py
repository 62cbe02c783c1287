"""All that a search finds, and an OVF with its files, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Cloud
from tests.images.ova import Wanted, manifest, ovf, vmdk

pytestmark = pytest.mark.browser


def test_all_that_match_are_tagged_on_every_page_of_the_list(page: Page, cloud: Cloud) -> None:
    whole = len(cloud.api("GET", "/instances?limit=1000")["items"])
    page.goto("/instances?sort=name")
    offer = page.get_by_role("button", name=f"Choose all {whole} that match")
    page.locator("tbody input[name=id]").first.check()
    expect(offer).not_to_be_visible()
    page.locator("input[data-all]").check()
    offer.click()
    count = page.locator("[data-bulk-count]")
    expect(count).to_have_text(f"All {whole} that match are selected")
    page.locator("tbody input[name=id]").nth(3).uncheck()
    expect(count).to_have_text("49 selected")
    page.locator("input[data-all]").check()
    expect(count).to_have_text("50 selected")
    offer.click()
    page.locator("[data-bulk]").get_by_role("button", name="Tag").click()
    dialog = page.locator("#dialog")
    expect(dialog).to_contain_text(f"Tag {whole} instances")
    dialog.get_by_label("Add tags").fill("everywhere")
    dialog.get_by_role("button", name="Preview").click()
    dialog.get_by_text(f"All {whole} by name").click()
    dialog.get_by_role("button", name=f"Tag {whole} instances").click()
    expect(page.locator("tbody .chip", has_text="everywhere").first).to_be_visible(timeout=60_000)
    assert len(cloud.api("GET", "/instances?limit=1000&q=tag:everywhere")["items"]) == whole


def test_a_search_narrows_what_all_means(page: Page, cloud: Cloud) -> None:
    page.goto("/volumes?q=attached:yes")
    page.locator("input[data-all]").check()
    total = len(cloud.api("GET", "/volumes?limit=1000&q=attached:yes")["items"])
    if total <= 100:
        expect(page.locator("[data-bulk-all]")).to_have_count(0)
    page.locator("[data-bulk]").get_by_role("button", name="Tag").click()
    expect(page.locator("#dialog")).to_contain_text(f"Tag {min(total, 100)} volumes")


def test_an_ovf_is_chosen_with_its_files_and_a_missing_one_is_named(page: Page, tmp_path: Path) -> None:
    long = "disk-" + "x" * 110 + ".vmdk"
    wanted = Wanted(files={"d1.vmdk": vmdk(text=b"one"), long: vmdk(text=b"two")})
    text = ovf(wanted)
    for name, content in {"vm.ovf": text, "vm.mf": manifest({"vm.ovf": text, **wanted.files}), **wanted.files}.items():
        (tmp_path / name).write_bytes(content)
    page.goto("/instances/import")
    page.get_by_label("File").set_input_files([tmp_path / "vm.ovf", tmp_path / long])
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("Not chosen, and needed: d1.vmdk.")).to_be_visible()
    page.get_by_label("File").set_input_files(sorted(tmp_path.iterdir()))
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url(re.compile(r"/instances/import/upl_"))
    expect(page.locator("main")).to_contain_text(long)
    expect(page.locator("#plan")).to_contain_text("Its disks are held against the manifest")
