"""Volumes, images, networks, users and one's own account, by hand in a real browser."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Cloud

pytestmark = pytest.mark.browser


def ask(page: Page, button: Any) -> Any:
    """Press what opens the dialog; the dialog."""
    button.click()
    dialog = page.locator("#dialog[open]")
    expect(dialog).to_be_visible()
    return dialog


def agree(page: Page) -> None:
    """Press the dialog's button and see it close."""
    page.locator("#dialog[open] button[type=submit]").click()
    expect(page.locator("#dialog[open]")).to_have_count(0)


def line(page: Page, text: str) -> Any:
    """A line of the list."""
    return page.locator("#list tbody tr", has_text=text)


def test_a_network_is_made_with_a_preview_gets_a_subnet_and_goes(page: Page) -> None:
    page.goto("/networks/new")
    page.fill("[name=name]", "lab net")
    page.fill("[name=cidr]", "10.9.0.0/24")
    expect(page.locator("#plan .plan-title")).to_have_text("Create network lab net")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page).to_have_url(re.compile(r"/networks/net_"))
    expect(page.locator(".card", has_text="10.9.0.0/24")).to_be_visible()
    page.get_by_role("link", name="Create a subnet").click()
    page.fill("[name=cidr]", "10.9.0.0/25")
    expect(page.locator("#plan .plan-fault")).to_be_visible()
    page.fill("[name=cidr]", "10.9.1.0/24")
    page.get_by_role("button", name="Create", exact=True).click()
    second = page.locator(".card", has_text="10.9.1.0/24")
    expect(second).to_be_visible()
    expect(page.locator(".thing-title .state")).to_have_text("active")
    ask(page, second.get_by_role("button", name="Delete"))
    agree(page)
    expect(second).to_have_count(0)
    ask(page, page.locator(".page-actions").get_by_role("button", name="Delete"))
    agree(page)
    expect(page).to_have_url(re.compile(r"/networks$"))


def test_a_floating_ip_leads_to_a_machine_and_away_again(page: Page) -> None:
    page.goto("/networks/floating-ips")
    ask(page, page.locator(".page-actions button"))
    agree(page)
    made = line(page, "172.31.").first
    ask(page, made.get_by_role("button", name="Associate", exact=True))
    agree(page)
    away = made.get_by_role("button", name="Disassociate")
    expect(away).to_be_visible()
    ask(page, made.get_by_role("button", name="Release"))
    expect(page.locator("#dialog")).to_contain_text("Disassociate it first")
    page.locator("#dialog").get_by_role("button", name="Close").last.click()
    ask(page, away)
    agree(page)
    expect(made.get_by_role("button", name="Associate", exact=True)).to_be_visible()
    ask(page, made.get_by_role("button", name="Release"))
    agree(page)
    expect(page.get_by_text("No floating IPs yet.")).to_be_visible()


def test_a_security_group_takes_rules_and_refuses_an_impossible_port(page: Page) -> None:
    page.goto("/networks/security-groups")
    ask(page, page.locator(".page-actions button"))
    page.fill("#dialog [name=name]", "web")
    page.locator("#dialog button[type=submit]").click()
    expect(page).to_have_url(re.compile(r"/security-groups/sgr_"))
    add = page.get_by_role("button", name="Add a rule")
    ask(page, add)
    page.select_option("#dialog [name=kind]", "https")
    agree(page)
    rule = page.locator("tr", has_text="443")
    expect(rule).to_be_visible()
    dialog = ask(page, add)
    page.select_option("#dialog [name=kind]", "")
    page.fill("#dialog [name=port_min]", "99999")
    dialog.locator("button[type=submit]").click()
    expect(dialog.locator("[data-field=port_min].is-wrong")).to_be_visible()
    dialog.locator("[data-close]").first.click()
    ask(page, rule.get_by_role("button", name="Remove"))
    agree(page)
    expect(rule).to_have_count(0)


def test_a_volume_goes_to_the_trash_and_comes_back(page: Page) -> None:
    page.goto("/volumes/new")
    page.fill("[name=name]", "data 盘")
    page.fill("[name=size_bytes]", "5G")
    expect(page.locator("#plan")).to_contain_text("An empty disk of 5 GiB")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.locator(".thing-title .state")).to_have_text("available")
    ask(page, page.locator(".page-actions").get_by_role("button", name="Delete"))
    expect(page.locator("#dialog .plan-undo")).to_contain_text("7 days")
    agree(page)
    expect(page).to_have_url(re.compile(r"/volumes$"))
    page.goto("/trash")
    gone = line(page, "data 盘")
    ask(page, gone.get_by_role("button", name="Restore"))
    agree(page)
    expect(gone).to_have_count(0)
    page.goto("/volumes?q=data")
    expect(line(page, "data 盘")).to_be_visible()


def test_an_image_is_described_and_a_file_is_uploaded(page: Page, tmp_path: Any) -> None:
    page.goto("/images")
    page.get_by_role("link", name="tiny", exact=True).click()
    ask(page, page.get_by_role("button", name="Edit"))
    page.fill("#dialog [name=description]", "boots in a second")
    agree(page)
    expect(page.get_by_text("boots in a second")).to_be_visible()
    page.goto("/images/new")
    expect(page.locator("#plan .plan-title")).to_contain_text("Pull image")
    page.get_by_role("link", name="Upload a file").click()
    file = tmp_path / "mine.raw"
    file.write_bytes(b"\0" * 510 + b"\x55\xaa" + b"\0" * (2 << 20))
    page.set_input_files("[name=file]", str(file))
    page.fill("[name=name]", "mine")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page).to_have_url(re.compile(r"/images$"))
    expect(line(page, "mine")).to_be_visible()


@pytest.mark.parametrize(
    ("address", "list_"), [("/images/new?way=upload", "/images"), ("/volumes/new/upload", "/volumes")]
)
def test_an_upload_that_is_no_disk_is_told_wherever_the_person_is_by_then(
    page: Page, tmp_path: Any, address: str, list_: str
) -> None:
    """It fails within a moment: mostly before the page of the list is drawn."""
    page.goto(address)
    file = tmp_path / "letter.qcow2"
    file.write_bytes(b"Dear cloud, " * 5000)
    page.set_input_files("[name=file]", str(file))
    page.fill("[name=name]", "letter")
    if page.locator("[name=format]").count():
        page.select_option("[name=format]", "qcow2")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page).to_have_url(re.compile(list_ + "$"))
    told = page.locator("#toasts .toast-danger")
    expect(told).to_contain_text("letter")
    expect(told).to_have_count(1)
    page.reload()
    page.wait_for_timeout(1500)
    expect(told).to_have_count(0)


def test_a_file_that_is_no_machine_is_told_on_the_page_that_would_import_it(page: Page, tmp_path: Any) -> None:
    page.goto("/instances/import")
    file = tmp_path / "letter.ova"
    file.write_bytes(b"Dear cloud, " * 5000)
    page.set_input_files("[name=file]", str(file))
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page).to_have_url(re.compile("/instances/import/"))
    expect(page.locator("main h1")).to_contain_text("The OVA is not accepted")


def test_moving_a_volume_shows_what_it_does_before(page: Page, cloud: Cloud) -> None:
    cloud.api("POST", "/pools", {"name": "fast", "path": "/srv/fast"})
    volume = cloud.api("POST", "/volumes", {"name": "moved", "size_bytes": 5 << 30})
    for _attempt in range(100):
        if cloud.api("GET", f"/volumes/{volume['id']}")["state"] == "available":
            break
        time.sleep(0.1)
    page.goto(f"/volumes/{volume['id']}")
    ask(page, page.locator(".page-actions").get_by_role("button", name="Move"))
    plan = page.locator("#dialog-plan")
    expect(plan).to_contain_text("5 GiB are copied from the pool default to the pool fast")
    expect(plan.locator(".plan-undo")).to_contain_text("7 days")
    agree(page)
    expect(page.locator("main")).to_contain_text("fast")


def test_a_flavor_is_offered_and_taken_back(page: Page) -> None:
    page.goto("/flavors")
    dialog = ask(page, page.locator(".page-actions button"))
    page.fill("#dialog [name=name]", "huge")
    page.fill("#dialog [name=memory_mib]", "a lot")
    dialog.locator("button[type=submit]").click()
    expect(dialog.locator("[data-field=memory_mib].is-wrong")).to_be_visible()
    page.fill("#dialog [name=memory_mib]", "16G")
    agree(page)
    ask(page, line(page, "huge").get_by_role("button", name="Delete"))
    agree(page)
    expect(line(page, "huge")).to_have_count(0)


def test_a_user_is_made_kept_out_and_let_in(page: Page, chromium: Browser, cloud: Cloud) -> None:
    page.goto("/users/new")
    page.fill("[name=name]", "wang")
    page.fill("[name=password]", "short")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.locator("[data-field=password].is-wrong")).to_be_visible()
    page.fill("[name=password]", "correct horse battery")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page).to_have_url(re.compile(r"/users/usr_"))
    context = chromium.new_context(base_url=cloud.url, locale="zh-CN", viewport={"width": 390, "height": 844})
    other = context.new_page()
    other.goto("/login?next=/keys")
    other.fill("input[name=name]", "wang")
    other.fill("input[name=password]", "correct horse battery")
    other.click(".login button[type=submit]")
    expect(other.locator("h1")).to_have_text("SSH 密钥")
    expect(other.locator(".sidenav a[href='/users']")).to_have_count(0)
    ask(page, page.locator(".page-actions").get_by_role("button", name="Disable"))
    agree(page)
    expect(page.locator(".thing-title .state")).to_have_text("disabled")
    other.goto("/keys")
    assert "/login" in other.url
    context.close()
    page.get_by_role("button", name="Enable").click()
    expect(page.locator(".thing-title .state")).to_have_text("active")


def test_a_tokens_secret_is_shown_once_and_revoking_ends_it(page: Page) -> None:
    page.goto("/tokens")
    ask(page, page.locator(".page-actions button"))
    page.fill("#dialog [name=name]", "ci")
    page.locator("#dialog button[type=submit]").click()
    secret = page.locator("#dialog input[readonly]")
    expect(secret).to_have_value(re.compile(r"^yun_t_.{43}$"))
    plain = secret.input_value()
    page.locator("#dialog").get_by_role("button", name="Done").click()
    expect(line(page, "ci")).to_be_visible()
    expect(page.locator("#dialog > *")).to_have_count(0)
    assert plain not in page.content()
    ask(page, line(page, "ci").get_by_role("button", name="Revoke"))
    agree(page)
    expect(line(page, "ci")).to_contain_text("revoked")


def test_language_and_theme_are_the_persons_own_and_the_switches_still_win(page: Page) -> None:
    page.goto("/account")
    page.select_option("[name=locale]", "zh")
    page.select_option("[name=theme]", "dark")
    page.locator("form[action='/account/profile'] button[type=submit]").click()
    expect(page.locator("h1")).to_have_text("账户")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.locator(".topbar button[lang=en]").click()
    expect(page.locator("h1")).to_have_text("Account")
    page.select_option("[name=locale]", "")
    page.select_option("[name=theme]", "auto")
    page.locator("form[action='/account/profile'] button[type=submit]").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "auto")
