"""What a person does in the panel, done by hand in a real browser."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Cloud, settle, watch

pytestmark = pytest.mark.browser


def row(page: Page, name: str) -> Any:
    """The line of an instance in the list."""
    return page.locator("tbody tr", has=page.get_by_role("link", name=name, exact=True))


def test_logging_in_refuses_a_wrong_password_and_leads_where_one_wanted_to_go(chromium: Browser, cloud: Cloud) -> None:
    context = chromium.new_context(base_url=cloud.url, locale="en-US")
    page = context.new_page()
    page.goto("/instances?q=web")
    assert "/login?next=/instances" in page.url
    page.fill("input[name=name]", "admin")
    page.fill("input[name=password]", "not this one")
    page.click(".login button[type=submit]")
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    assert page.input_value("input[name=name]") == "admin"
    page.fill("input[name=password]", cloud.password)
    page.click(".login button[type=submit]")
    expect(page).to_have_url(re.compile(r"/instances\?q=web"))
    page.locator("summary[aria-label=User]").click()
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(re.compile("/login"))
    page.goto("/instances")
    assert "/login" in page.url
    context.close()


def test_an_instance_is_created_with_a_preview_and_its_progress_is_seen(page: Page) -> None:
    page.goto("/instances/new")
    expect(page.locator("#plan")).to_contain_text("A name is needed")
    page.fill("input[name=name]", "made-by-hand")
    page.locator(".choice-card", has_text="tiny").first.click()
    expect(page.locator("#plan .plan-title")).to_have_text("Create instance made-by-hand")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page).to_have_url(re.compile(r"/instances/ins_"))
    expect(page.locator("h1")).to_have_text("made-by-hand")
    expect(page.locator(".toast-box")).to_contain_text("Undo")
    expect(page.locator(".thing-title .state")).to_have_text("running", timeout=40_000)


def test_a_refused_form_keeps_what_was_typed_and_marks_the_field(page: Page, machine: Any) -> None:
    machine("taken-name")
    page.goto("/instances/new")
    page.fill("input[name=name]", "taken-name")
    page.locator("summary", has_text="More settings").click()
    page.fill("input[name=hostname]", "keeps-me")
    page.get_by_role("button", name="Create", exact=True).click()
    field = page.locator('[data-field="name"]')
    expect(field).to_have_class(re.compile("is-wrong"))
    expect(field.locator("[data-wrong]")).to_contain_text("not taken")
    assert page.input_value("input[name=hostname]") == "keeps-me"
    assert page.url.endswith("/instances/new")


def test_an_open_list_follows_what_happens(page: Page, cloud: Cloud, machine: Any) -> None:
    made = machine("watched-one")
    page.goto("/instances?q=watched")
    expect(row(page, "watched-one").locator(".state")).to_have_text("running")
    page.locator("input[name=q]").focus()
    page.keyboard.press("End")
    cloud.api("POST", f"/instances/{made['id']}/stop?force=true")
    expect(row(page, "watched-one").locator(".state")).to_have_text("stopped", timeout=30_000)
    assert page.input_value("input[name=q]") == "watched"
    assert page.evaluate("document.activeElement.name") == "q"


def test_stopping_asks_with_the_preview_and_its_undo_starts_again(page: Page, machine: Any) -> None:
    made = machine("stop-me")
    page.goto(f"/instances/{made['id']}")
    page.get_by_role("button", name="Stop", exact=True).click()
    dialog = page.locator("#dialog")
    expect(dialog).to_contain_text("The guest is asked to power off")
    expect(dialog).to_contain_text("Can be undone for 7 days")
    dialog.get_by_role("button", name="Stop instance stop-me").click()
    expect(dialog).not_to_be_visible()
    expect(page.locator(".thing-title .state")).to_have_text("stopped", timeout=40_000)
    page.locator(".toast-box").get_by_role("button", name="Undo").click()
    expect(page.locator(".thing-title .state")).to_have_text("running", timeout=40_000)


def test_escape_closes_the_question_and_nothing_happens(page: Page, cloud: Cloud, machine: Any) -> None:
    made = machine("keep-me")
    page.goto(f"/instances/{made['id']}")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("#dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#dialog")).not_to_be_visible()
    assert cloud.api("GET", f"/instances/{made['id']}")["state"] == "running"


def test_many_are_stopped_at_once_and_deleted_ones_come_back_by_undo(page: Page, cloud: Cloud, machine: Any) -> None:
    made = [machine(f"bulk-{n}") for n in range(3)]
    page.goto("/instances?q=bulk-")
    page.locator("tbody input[name=id]").first.check()
    expect(page.locator("[data-bulk-count]")).to_have_text("1 selected")
    page.locator("input[data-all]").check()
    page.locator("[data-bulk]").get_by_role("button", name="Delete").click()
    expect(page.locator("#dialog")).to_contain_text("Delete 3 instances")
    page.locator("#dialog").get_by_role("button", name="Delete 3 instances").click()
    expect(page.locator("#list")).to_contain_text("Nothing matches", timeout=40_000)
    page.goto("/operations")
    undo = page.locator("tr", has_text="Delete instance bulk-1").get_by_role("button", name="Undo")
    expect(undo).to_be_visible(timeout=30_000)
    undo.click()
    line = page.locator("tr", has_text="Undo: Delete instance bulk-1").first
    expect(line).to_contain_text("succeeded", timeout=40_000)
    back = cloud.api("GET", f"/instances/{made[1]['id']}")
    assert back["state"] == "running"
    assert back["addresses"] == made[1]["addresses"]


def test_undoing_what_later_changes_stand_on_offers_to_undo_them_too(page: Page, cloud: Cloud, machine: Any) -> None:
    made = machine("chain")
    operation = cloud.api("POST", f"/instances/{made['id']}/stop?force=true")["operation"]
    settle(cloud, made["id"])
    cloud.api("POST", f"/instances/{made['id']}/rename", {"name": "chain-renamed"})
    page.goto(f"/operations/{operation['id']}")
    page.get_by_role("button", name="Undo").click()
    dialog = page.locator("#dialog")
    expect(dialog).to_contain_text("Takes back: Rename instance chain")
    dialog.get_by_role("button", name="Undo all of these").click()
    expect(page.locator("#dialog")).not_to_be_visible()
    page.goto(f"/instances/{made['id']}")
    expect(page.locator(".thing-title .state")).to_have_text("running", timeout=40_000)
    expect(page.locator("h1")).to_have_text("chain")


def test_the_screen_and_the_serial_console_connect(page: Page, machine: Any) -> None:
    made = machine("console")
    page.goto(f"/instances/{made['id']}/console")
    expect(page.locator("[data-vnc] [data-status]")).to_have_text("Connected", timeout=30_000)
    expect(page.locator("[data-vnc] canvas")).to_be_visible()
    page.goto(f"/instances/{made['id']}/serial")
    expect(page.locator("[data-serial] [data-status]")).to_have_text("Connected", timeout=30_000)
    expect(page.locator(".xterm-rows")).to_contain_text("login", timeout=30_000)


def test_the_palette_finds_things_and_pages_by_the_keyboard(page: Page, machine: Any) -> None:
    machine("needle-in-hay")
    page.goto("/")
    page.keyboard.press("Control+k")
    page.keyboard.type("needle")
    expect(page.locator("#palette li[aria-selected]")).to_contain_text("needle-in-hay")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("needle-in-hay")
    page.keyboard.press("Control+k")
    page.keyboard.type("activ")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/operations"))


def test_slash_searches_and_the_address_bar_keeps_filters_and_order(page: Page) -> None:
    page.goto("/instances")
    page.keyboard.press("/")
    page.keyboard.type("web")
    expect(page).to_have_url(re.compile(r"q=web"))
    page.select_option("select[name=state]", "running")
    expect(page).to_have_url(re.compile(r"state=running"))
    page.get_by_role("link", name="Memory").click()
    expect(page).to_have_url(re.compile(r"sort=memory_mib"))
    assert "q=web" in page.url
    page.reload()
    assert page.input_value("input[name=q]") == "web"
    lines = page.locator("tbody tr").all_inner_texts()
    assert lines
    assert all("web" in line and "running" in line for line in lines)


def test_pages_of_the_list_follow_each_other(page: Page) -> None:
    page.goto("/instances?sort=name")
    first = page.locator("tbody td.name > a").first.inner_text()
    page.get_by_role("link", name="Next page").click()
    expect(page.get_by_role("link", name="First page")).to_be_visible()
    assert page.locator("tbody td.name > a").first.inner_text() != first
    page.get_by_role("link", name="First page").click()
    expect(page.locator("tbody td.name > a").first).to_have_text(first)


def test_language_and_theme_are_changed_with_one_press(page: Page) -> None:
    page.goto("/instances")
    page.get_by_role("button", name="中文").click()
    expect(page.locator("h1")).to_have_text("云主机")
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    page.get_by_role("button", name="EN", exact=True).click()
    expect(page.locator("h1")).to_have_text("Instances")
    page.get_by_role("button", name="Light or dark").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.goto("/")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


def test_a_name_that_carries_html_shows_as_text(page: Page, machine: Any) -> None:
    name = "<img src=x onerror=document.title='owned'> & \"q\""
    made = machine(name, description="<script>alert(1)</script>", hostname="html-name")
    page.goto(f"/instances/{made['id']}")
    expect(page.locator("h1")).to_have_text(name)
    page.goto("/instances?sort=-created_at")
    expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()
    page.goto("/operations")
    expect(page.get_by_role("link", name=f"Create instance {name}", exact=True)).to_be_visible()
    assert "owned" not in page.title()


def test_the_drawer_shows_what_runs_and_offers_undo(page: Page, machine: Any) -> None:
    machine("in-the-drawer")
    page.goto("/")
    page.get_by_role("button", name="Operations").click()
    drawer = page.locator("#drawer")
    expect(drawer).to_be_visible()
    entry = drawer.locator(".op", has_text="Create instance in-the-drawer").first
    expect(entry).to_contain_text("succeeded")
    expect(entry.get_by_role("button", name="Undo")).to_be_visible()
    page.keyboard.press("Escape")
    expect(drawer).not_to_be_visible()


def test_settings_are_saved_and_a_wrong_one_is_marked(page: Page, cloud: Cloud, machine: Any) -> None:
    made = machine("settings-one")
    page.goto(f"/instances/{made['id']}/settings")
    page.fill("input[name=shutdown_seconds]", "-5")
    page.get_by_role("button", name="Save").click()
    expect(page.locator('[data-field="shutdown_seconds"]')).to_have_class(re.compile("is-wrong"))
    page.fill("input[name=shutdown_seconds]", "30")
    page.fill("input[name=tags]", "blue, green")
    page.get_by_label("Protect against deletion").check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".toast-success")).to_contain_text("done")
    now = cloud.api("GET", f"/instances/{made['id']}")
    assert (now["shutdown_seconds"], now["tags"], now["protected"]) == (30, ["blue", "green"], True)


def test_a_stranger_form_from_another_origin_is_refused(chromium: Browser, cloud: Cloud, logged_in: Any) -> None:
    context = chromium.new_context(storage_state=logged_in)
    page = context.new_page()
    port = cloud.url.rsplit(":", 1)[1]
    page.route("http://evil.test/", lambda route: route.fulfill(
        content_type="text/html",
        body=f"<form method=post action='http://127.0.0.1:{port}/language/zh'><button>go</button></form>",
    ))  # fmt: skip
    page.goto("http://evil.test/")
    with page.expect_response(re.compile("/language/zh")) as answer:
        page.click("button")
    assert answer.value.status == 403
    context.close()


def test_a_lost_connection_is_told_and_what_was_missed_is_fetched(page: Page, cloud: Cloud, machine: Any) -> None:
    made = machine("missed")
    page.route("**/live*", lambda route: route.abort())
    page.goto("/instances?q=missed")
    expect(page.locator("#lost")).to_be_visible()
    cloud.api("POST", f"/instances/{made['id']}/stop?force=true")
    settle(cloud, made["id"])
    expect(row(page, "missed").locator(".state")).to_have_text("running")
    page.unroute("**/live*")
    expect(page.locator("#lost")).not_to_be_visible()
    expect(row(page, "missed").locator(".state")).to_have_text("stopped")


PAGES = (
    "/", "/instances", "/instances/new", "/operations", "/images", "/volumes", "/networks", "/trash", "/hosts",
    "/pools", "/flavors", "/projects", "/users", "/audit", "/tokens", "/keys", "/account", "/nothing-here",
)  # fmt: skip
# Icons of the page that the sprite does not hold: they would show as a gap.
PICTURELESS = """async () => {
    const uses = [...document.querySelectorAll('svg.icon use')].map((use) => use.getAttribute('href'));
    const sprite = await (await fetch(uses[0])).text();
    const known = new Set([...sprite.matchAll(/id="([^"]+)"/g)].map((found) => found[1]));
    return [...new Set(uses.map((href) => href.split('#')[1]))].filter((name) => !known.has(name));
}"""
TABS = ("", "/console", "/serial", "/guest", "/hardware", "/xml", "/disks", "/network", "/activity", "/settings")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(("locale", "scheme"), [("en-US", "light"), ("zh-CN", "dark")])
def test_every_page_fits_its_window_and_runs_no_forbidden_script(
    chromium: Browser, cloud: Cloud, logged_in: Any, width: int, locale: str, scheme: Any
) -> None:
    context = chromium.new_context(
        storage_state=logged_in, locale=locale, color_scheme=scheme, base_url=cloud.url,
        viewport={"width": width, "height": 800},
    )  # fmt: skip
    page = context.new_page()
    wrong = watch(page)
    some = cloud.api("GET", "/instances?limit=1&q=state:running")["items"][0]["id"]
    for path in (*PAGES, *(f"/instances/{some}{tab}" for tab in TABS)):
        page.goto(path)
        page.wait_for_timeout(150)
        assert page.evaluate(PICTURELESS) == [], path
        beyond = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert beyond <= 0, f"{path} is {beyond} px wider than its window"
        assert page.locator("html").get_attribute("data-bs-theme") == scheme
    assert not wrong, "\n".join(wrong)
    context.close()
