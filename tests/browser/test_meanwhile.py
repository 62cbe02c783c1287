"""What happens while a page is on its way to the person is shown on it all the same."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect

from tests.browser.conftest import Cloud, settle

pytestmark = pytest.mark.browser


def test_what_happens_before_the_stream_is_open_is_shown(page: Page, cloud: Cloud, machine: Any) -> None:
    made = machine("meanwhile")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/live*", hold)
    page.goto(f"/instances/{made['id']}")
    state, start = page.locator(".thing-title .state"), page.get_by_role("button", name="Start", exact=True)
    expect(state).to_have_text("running")
    cloud.api("POST", f"/instances/{made['id']}/stop?force=true")
    settle(cloud, made["id"])
    page.wait_for_timeout(1500)
    expect(state).to_have_text("running")
    assert len(held) == 1
    held[0].continue_()
    expect(state).to_have_text("stopped")
    expect(start.first).to_be_enabled()


def test_a_page_drawn_before_what_was_heard_is_renewed(page: Page, cloud: Cloud, machine: Any) -> None:
    made = machine("drawn-before")
    url = f"/instances/{made['id']}"
    held: list[tuple[Route, APIResponse]] = []

    def hold(route: Route) -> None:
        if route.request.headers.get("hx-target") == "main":
            held.append((route, route.fetch()))
        else:
            route.continue_()

    page.route(f"**{url}", hold)
    page.goto(url)
    state = page.locator(".thing-title .state")
    expect(state).to_have_text("running")
    page.evaluate("url => { htmx.ajax('GET', url, {target: '#main', select: '#main', swap: 'outerHTML'}); }", url)
    for _attempt in range(100):
        if held:
            break
        page.wait_for_timeout(100)
    cloud.api("POST", f"/instances/{made['id']}/stop?force=true")
    expect(state).to_have_text("stopped")
    settle(cloud, made["id"])
    page.wait_for_timeout(1500)
    page.evaluate("document.getElementById('main').dataset.old = ''")
    route, answer = held[0]
    route.fulfill(response=answer)
    expect(page.locator("#main[data-old]")).to_have_count(0)
    expect(state).to_have_text("stopped")


def test_a_part_whose_menu_was_open_is_renewed_once_it_is_closed(page: Page, cloud: Cloud, machine: Any) -> None:
    made = machine("menu-open")
    page.goto(f"/instances/{made['id']}")
    state, menu = page.locator(".thing-title .state"), page.locator(".page-actions details.menu > summary")
    expect(state).to_have_text("running")
    menu.click()
    cloud.api("POST", f"/instances/{made['id']}/stop?force=true")
    settle(cloud, made["id"])
    page.wait_for_timeout(2500)
    expect(state).to_have_text("running")
    menu.click()
    expect(state).to_have_text("stopped")
