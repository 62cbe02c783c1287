"""How the panel treats a person: nothing typed is lost, what went wrong is said, the keyboard reaches everything."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.conftest import Cloud, settle, watch

pytestmark = pytest.mark.browser
CHINESE_ON_DIGIT = re.compile(r"\d[\u4e00-\u9fff]|[\u4e00-\u9fff]\d")


def log_in_again(page: Page, cloud: Cloud) -> None:
    """Fill in the log-in that the panel led to."""
    page.wait_for_url(re.compile("/login"))
    page.fill("input[name=name]", "admin")
    page.fill("input[name=password]", cloud.password)
    page.click(".login button[type=submit]")


def end_session(window: BrowserContext) -> None:
    """What the passing of days does."""
    window.clear_cookies(name="yun_session")


# ── lists ──


def test_a_search_typed_slowly_never_loses_its_list(page: Page) -> None:
    page.goto("/instances")
    page.locator("[data-search]").click()
    for letter in "state:running":
        page.keyboard.type(letter)
        page.wait_for_timeout(320)
        assert page.locator("#list").count() == 1
    expect(page.locator("#list tbody tr").first).to_contain_text("running")
    expect(page.locator("[data-search]")).to_have_value("state:running")
    page.fill("[data-search]", "colour:red")
    expect(page.locator(".list-fault")).to_contain_text("cannot be searched by colour")
    expect(page.locator(".list-fault")).to_contain_text("tag")
    page.fill("[data-search]", "")
    expect(page.locator("#list tbody tr").first).to_be_visible()
    expect(page.locator(".list-fault")).to_have_count(0)


def test_a_list_leads_to_the_page_before(page: Page) -> None:
    page.goto("/instances?sort=name")
    names = page.locator("tbody td.name > a")
    first = names.first.inner_text()
    page.get_by_role("link", name="Next page").click()
    expect(names.first).not_to_have_text(first)
    page.get_by_role("link", name="Previous page").click()
    expect(names.first).to_have_text(first)
    expect(page.get_by_role("link", name="Previous page")).to_have_count(0)


def test_what_was_done_to_many_is_taken_back_with_one_press(page: Page, cloud: Cloud, machine: Any) -> None:
    made = [machine(f"together-{n}")["id"] for n in range(3)]
    page.goto("/instances?q=together-")
    page.locator("input[data-all]").check()
    page.locator("[data-bulk]").get_by_role("button", name="Delete").click()
    page.locator("#dialog").get_by_role("button", name="Delete 3 instances").click()
    expect(page.locator("#list")).to_contain_text("Nothing matches", timeout=40_000)
    page.locator(".toast-box").get_by_role("button", name="Undo all").click()
    expect(page.locator(".toast-box", has_text="Undo of 3 operations")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(3, timeout=40_000)
    for identifier in made:
        settle(cloud, identifier)


def test_failures_that_come_together_are_told_together(page: Page) -> None:
    ids = [f"op_{n}" for n in range(3)]
    news = "".join(
        f"data: {json.dumps({'kind': 'operation.failed', 'operation_id': i, 'subject': {}})}\n\n" for i in ids
    )
    told: list[str] = []

    def one(route: Route) -> None:
        told.append(route.request.url)
        identifier = route.request.url.rsplit("/", 1)[1]
        error = {"message": "the host is away", "hint": None}
        route.fulfill(json={"title": f"Stop {identifier}", "error": error})

    page.route("**/live*", lambda route: route.fulfill(content_type="text/event-stream", body="retry: 100\n\n"))
    page.route("**/api/v1/operations/op_*", one)
    page.goto("/instances")
    page.evaluate("ids => document.dispatchEvent(new CustomEvent('yun:done', {detail: {operations: ids}}))", ids)
    page.unroute("**/live*")
    page.route("**/live*", lambda route: route.fulfill(content_type="text/event-stream", body=news))
    toast = page.locator(".toast-danger")
    expect(toast).to_have_count(1)
    expect(toast).to_contain_text("3 operations failed.")
    expect(toast).to_contain_text("Stop op_0: failed. the host is away")
    assert {address.rsplit("/", 1)[1] for address in told} == set(ids)


# ── forms ──


def test_the_preview_names_each_wrong_field_as_the_form_does(page: Page) -> None:
    page.goto("/instances/new")
    wrong = page.locator("#plan [data-field-name]")
    expect(wrong).to_contain_text("Name ")
    page.fill("input[name=name]", "fine")
    page.locator(".choice-card", has_text="Own size").click()
    page.fill("input[name=memory_mib]", "12abc")
    expect(wrong).to_contain_text("Memory ")
    page.fill("input[name=memory_mib]", "128M")
    page.fill("input[name=disk_bytes]", "-4")
    expect(wrong).to_contain_text("Disk ")


def test_a_colleagues_change_of_the_same_field_is_shown_and_saving_again_means_it(
    page: Page, cloud: Cloud, machine: Any
) -> None:
    made = machine("two-hands")
    page.goto(f"/instances/{made['id']}/settings")
    changes = {"description": "theirs", "protected": True}
    cloud.api("PATCH", f"/instances/{made['id']}", changes)
    settle(cloud, made["id"])
    page.fill("#form [name=description]", "mine")
    page.fill("#form [name=shutdown_seconds]", "77")
    save = page.locator("#form button[type=submit]")
    save.click()
    field = page.locator('[data-field="description"]')
    expect(field).to_have_class(re.compile("is-wrong"))
    expect(field.locator("[data-wrong]")).to_have_text("meanwhile: theirs")
    expect(page.locator("#form [name=description]")).to_have_value("mine")
    save.click()
    expect(page.locator(".toast-success")).to_be_visible()
    settle(cloud, made["id"])
    now = cloud.api("GET", f"/instances/{made['id']}")
    assert (now["description"], now["shutdown_seconds"], now["protected"]) == ("mine", 77, True)


def test_a_dialog_closes_only_by_a_press_beside_it_and_never_over_what_was_typed(page: Page) -> None:
    page.goto("/keys")
    dialog = page.locator("#dialog")

    def drag(start: tuple[float, float], end: tuple[float, float]) -> None:
        page.mouse.move(*start)
        page.mouse.down()
        page.mouse.move(*end, steps=4)
        page.mouse.up()

    page.locator("[hx-get='/keys/new']").first.click()
    expect(dialog).to_be_visible()
    box = page.locator("#dialog [name=name]").bounding_box()
    assert box
    inside, outside = (box["x"] + 80, box["y"] + 10), (60.0, 400.0)
    drag(inside, outside)
    expect(dialog).to_be_visible()
    page.mouse.click(*outside)
    expect(dialog).not_to_be_visible()
    page.locator("[hx-get='/keys/new']").first.click()
    page.fill("#dialog [name=name]", "my laptop")
    drag(inside, outside)
    page.mouse.click(*outside)
    page.wait_for_timeout(400)
    expect(page.locator("#dialog [name=name]")).to_have_value("my laptop")
    page.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()


def test_what_was_filled_in_when_the_session_ended_is_there_after_the_log_in(
    page: Page, window: BrowserContext, cloud: Cloud
) -> None:
    page.goto("/instances/new")
    expect(page.locator("#plan")).to_contain_text("A name is needed")
    page.locator("summary", has_text="More settings").click()
    page.fill("[name=hostname]", "long-name")
    page.fill("#form [name=password]", "secret words")
    page.get_by_label("Protect against deletion").check()
    end_session(window)
    page.fill("#form [name=name]", "typed-long")
    log_in_again(page, cloud)
    page.wait_for_url(re.compile("/instances/new"))
    expect(page.locator("#form [name=name]")).to_have_value("typed-long")
    expect(page.locator("[name=hostname]")).to_have_value("long-name")
    expect(page.get_by_label("Protect against deletion")).to_be_checked()
    expect(page.locator("#form [name=password]")).to_have_value("")
    expect(page.locator(".toast-box")).to_contain_text("is here again")
    expect(page.locator("#plan .plan-title")).to_have_text("Create instance typed-long")
    assert page.evaluate("sessionStorage.getItem('yun-unsent')") is None


def test_a_dialogs_form_is_opened_again_with_what_was_in_it(page: Page, window: BrowserContext, cloud: Cloud) -> None:
    page.goto("/flavors")
    page.locator("[hx-get='/flavors/new']").first.click()
    page.fill("#dialog [name=name]", "half-way")
    page.fill("#dialog [name=memory_mib]", "3G")
    end_session(window)
    page.locator("#dialog button[type=submit]").click()
    log_in_again(page, cloud)
    expect(page.locator("#dialog [name=name]")).to_have_value("half-way")
    expect(page.locator("#dialog [name=memory_mib]")).to_have_value("3G")


def test_an_ended_session_is_told_and_the_page_asks_no_more(
    chromium: Browser, cloud: Cloud, logged_in: Any
) -> None:
    context = chromium.new_context(storage_state=logged_in, base_url=cloud.url, locale="en-US")
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/live" in request.url else None)
    page.goto("/instances?q=web")
    page.wait_for_timeout(500)
    end_session(context)
    page.route("**/live*", lambda route: route.fulfill(status=401, json={"status": 401}))
    page.goto("/login")  # a page without a stream, so that the next one begins with a refused one
    context.add_cookies(logged_in["cookies"])
    page.goto("/instances?q=web")
    sign = page.locator("#lost")
    expect(sign).to_contain_text("Your session has ended.")
    assert sign.get_by_role("link", name="Log in again").get_attribute("href") == "/login?next=%2Finstances%3Fq%3Dweb"
    asked.clear()
    page.wait_for_timeout(4000)
    assert asked == []
    context.close()


# ── the palette, words and looks ──


def test_the_palette_presses_the_buttons_of_the_page_and_of_the_top_bar(page: Page, machine: Any) -> None:
    made = machine("by-keyboard")
    page.goto(f"/instances/{made['id']}")
    page.keyboard.press("Control+k")
    page.keyboard.type("stop")
    expect(page.locator("#palette li[aria-selected]")).to_contain_text("by-keyboard")
    page.keyboard.press("Enter")
    expect(page.locator("#dialog")).to_contain_text("The guest is asked to power off")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.keyboard.type("resume")
    expect(page.locator("#palette li.none")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.keyboard.type("theme")
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.wait_for_load_state()
    page.keyboard.press("Control+k")
    page.keyboard.type("language")
    expect(page.locator("#palette li[aria-selected]")).to_contain_text("Change the language")
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.wait_for_load_state()
    page.keyboard.press("Control+k")
    page.keyboard.type("create an inst")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/instances/new"))


def test_the_pages_times_keep_the_servers_chinese(chromium: Browser, cloud: Cloud, logged_in: Any) -> None:
    context = chromium.new_context(storage_state=logged_in, base_url=cloud.url, locale="zh-CN")
    page = context.new_page()
    wrong = watch(page)
    page.goto("/instances?sort=created_at")
    page.wait_for_timeout(300)
    times = page.locator("time[data-when]").all_text_contents()
    assert times
    assert not [t for t in times if CHINESE_ON_DIGIT.search(t)]
    assert "前" in times[0]
    assert page.locator(".brand").inner_text() == "Yun"
    assert not wrong
    context.close()


def test_the_legend_of_a_chart_names_its_lines_alone(page: Page, cloud: Cloud) -> None:
    some = cloud.api("GET", "/instances?limit=1&q=state:running")["items"][0]["id"]
    numbers = {"times": [1_700_000_000 + 10 * n for n in range(30)], "series": [[n * 1.0 for n in range(30)]] * 2}
    page.route("**/charts/*", lambda route: route.fulfill(json=numbers))
    page.goto(f"/instances/{some}")
    legend = page.locator(".u-legend").first
    expect(legend).to_be_visible()
    expect(legend.locator(".u-series").first).not_to_be_visible()
    expect(legend.locator(".u-series").nth(1)).to_be_visible()
