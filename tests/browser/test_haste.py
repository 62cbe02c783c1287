"""A person who is faster than the cloud's answers: nothing pressed is lost, and nothing acts on an old answer."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Cloud, settle

pytestmark = pytest.mark.browser


def hold(page: Page, url: Any) -> list[Route]:
    """Keep back what the page asks of ``url`` until the test lets it go."""
    held: list[Route] = []
    page.route(url, lambda route: held.append(route))  # noqa: PLW0108 - a bound method is not accepted
    return held


def held_back(page: Page, held: list[Route], count: int = 1) -> None:
    """Wait until the page has asked so often."""
    for _attempt in range(200):
        if len(held) >= count:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"asked {len(held)} times")


def found(title: str, url: str) -> str:
    """The server's answer to the palette."""
    return json.dumps({"items": [{"title": title, "kind": "Instance", "url": url, "icon": "server"}]})


def test_enter_waits_for_the_answer_to_what_stands_in_the_box(page: Page) -> None:
    page.goto("/")
    held = hold(page, re.compile(r"/search\?"))
    page.keyboard.press("Control+k")
    page.keyboard.type("zzz-one")
    held_back(page, held)
    held[0].fulfill(body=found("zzz-one", "/instances?q=one"), content_type="application/json")
    expect(page.locator("#palette [data-found]")).to_contain_text("zzz-one")
    page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    held_back(page, held, 2)
    assert page.locator("#palette").is_visible()
    held[1].fulfill(body=found("zzz-on", "/volumes"), content_type="application/json")
    expect(page).to_have_url(re.compile("/volumes$"))


def test_an_answer_that_comes_late_does_not_replace_a_newer_one(page: Page) -> None:
    page.goto("/")
    held = hold(page, re.compile(r"/search\?"))
    page.keyboard.press("Control+k")
    page.keyboard.type("zzz")
    held_back(page, held)
    page.keyboard.type("y")
    held_back(page, held, 2)
    held[1].fulfill(body=found("zzzy", "/volumes"), content_type="application/json")
    expect(page.locator("#palette [data-found]")).to_have_text(re.compile("zzzy"))
    held[0].fulfill(body=found("zzz of before", "/images"), content_type="application/json")
    page.wait_for_timeout(300)
    expect(page.locator("#palette [data-found]")).to_have_text(re.compile("zzzy"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/volumes$"))


def test_the_palette_is_called_while_the_page_still_loads(page: Page) -> None:
    held = hold(page, re.compile(r"/app-[A-Z0-9]+\.js"))
    page.goto("/instances", wait_until="commit")
    held_back(page, held)
    expect(page.locator("h1")).to_be_visible()
    page.keyboard.press("Control+k")
    expect(page.locator("#palette")).to_be_visible()
    page.keyboard.type("activ")
    page.keyboard.press("Enter")
    held[0].continue_()
    expect(page).to_have_url(re.compile("/operations$"))


def test_an_undo_whose_answer_takes_long_is_told_all_the_same(page: Page, cloud: Cloud, machine: Any) -> None:
    made = machine("slow-undo")
    page.goto(f"/instances/{made['id']}")
    page.get_by_role("button", name="Stop", exact=True).click()
    page.locator("#dialog button[type=submit]").click()
    expect(page.locator(".thing-title .state")).to_have_text("stopped", timeout=40_000)
    held = hold(page, re.compile("/undo$"))
    undo = page.locator(".toast-box").get_by_role("button", name="Undo")
    undo.click()
    expect(undo).not_to_be_visible()
    held_back(page, held)
    page.wait_for_timeout(400)
    held[0].continue_()
    expect(page.locator(".toast-box:not([hidden])", has_text="Undo")).to_be_visible()
    expect(page.locator(".thing-title .state")).to_have_text("running", timeout=40_000)
    settle(cloud, made["id"])


def test_a_dialog_that_is_closed_too_soon_still_tells_what_happened(page: Page, cloud: Cloud, machine: Any) -> None:
    made = machine("closed-soon")
    page.goto(f"/instances/{made['id']}")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("#dialog")).to_contain_text("asked to power off")
    held = hold(page, re.compile("/stop$"))
    page.locator("#dialog button[type=submit]").click()
    held_back(page, held)
    page.keyboard.press("Escape")
    expect(page.locator("#dialog")).not_to_be_visible()
    page.wait_for_timeout(700)
    held[0].continue_()
    expect(page.locator(".toast-box")).to_contain_text("Stop instance closed-soon")
    expect(page.locator("#dialog > *")).to_have_count(0)
    settle(cloud, made["id"])


def test_what_left_the_page_is_answered_to_the_page(page: Page, cloud: Cloud, machine: Any) -> None:
    made = machine("leaves-soon")
    page.goto(f"/instances/{made['id']}")
    held = hold(page, re.compile("/stop$"))
    page.get_by_role("button", name="Stop", exact=True).click()
    page.locator("#dialog button[type=submit]").click()
    held_back(page, held)
    page.evaluate("document.getElementById('dialog').replaceChildren()")
    held[0].continue_()
    expect(page.locator(".toast-box")).to_contain_text("Stop instance leaves-soon")
    expect(page.locator("#dialog")).not_to_be_visible()
    settle(cloud, made["id"])
