"""The picture of the networks in a real browser: what is written is to be read, what is pressed leads there."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Cloud

pytestmark = pytest.mark.browser

BOXES = """() => [...document.querySelectorAll("[data-topology] svg :is(.node rect, text)")].map((part) => {
  const {left, top, right, bottom} = part.getBoundingClientRect();
  const [text, node] = [part.tagName === "text", part.closest(".node")?.id ?? ""];
  return {text, what: text ? part.textContent : node, node, left, top, right, bottom};
})"""


def meet(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether two rectangles share more than an edge."""
    return bool(
        min(a["right"], b["right"]) - max(a["left"], b["left"]) > 0.5
        and min(a["bottom"], b["bottom"]) - max(a["top"], b["top"]) > 0.5
    )


def readable(page: Page) -> int:
    """As this browser draws it: no text over a text, no text out of its box or over another's, no box over a box."""
    parts = page.evaluate(BOXES)
    texts = [p for p in parts if p["text"]]
    boxes = [p for p in parts if not p["text"]]
    own = {box["node"]: box for box in boxes}
    for one, other in [*combinations(texts, 2), *combinations(boxes, 2)]:
        assert not meet(one, other), (one, other)
    for text in texts:
        for box in boxes:
            if box["node"] != text["node"]:
                assert not meet(text, box), (text, box)
        if box := own.get(text["node"]):
            assert text["left"] >= box["left"] - 0.5, (text, box)
            assert text["right"] <= box["right"] + 0.5, (text, box)
    return len(boxes)


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_the_picture_is_readable_opens_and_leads_to_a_machine(page: Page, cloud: Cloud, locale: str) -> None:
    page.context.add_cookies([{"name": "yun_locale", "value": locale, "url": cloud.url}])
    page.goto("/networks/topology")
    expect(page.locator("h1")).to_have_text({"en": "Topology", "zh": "拓扑"}[locale])
    few = readable(page)
    page.locator(".node.more a").first.click()
    expect(page).to_have_url(re.compile(r"/networks/topology\?open=net_"))
    expect(page.locator(".node.machine").nth(59)).to_be_attached()
    assert readable(page) > few + 40
    page.locator(".node.more a").last.click()
    expect(page.locator(".node.machine")).to_have_count(12)
    page.locator(".node.machine a").first.click()
    expect(page).to_have_url(re.compile(r"/instances/ins_"))


def test_it_is_worked_by_keyboard_and_wheel_and_pulled(page: Page) -> None:
    page.goto("/networks/topology")
    svg = page.locator("[data-topology] svg")
    whole = svg.bounding_box()
    assert whole is not None
    page.locator("[data-topology]").focus()
    for _time in range(4):
        page.keyboard.press("+")
    grown = svg.bounding_box()
    assert grown is not None
    assert grown["width"] > whole["width"] * 2
    frame = page.locator("[data-topology]").bounding_box()
    assert frame is not None
    before = page.evaluate("document.querySelector('[data-topology]').scrollLeft")
    x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 80, y, steps=4)
    page.mouse.up()
    assert page.evaluate("document.querySelector('[data-topology]').scrollLeft") - before > 40
    expect(page).to_have_url(re.compile(r"/networks/topology$"))  # a pull that began on a thing opens nothing
    page.locator("[data-zoom=fit]").click()
    fits = svg.bounding_box()
    assert fits is not None
    assert abs(fits["width"] - whole["width"]) < 2
    page.keyboard.press("Tab")  # a security group: its machines stand out
    expect(page.locator("svg.asking .node.machine.near")).to_have_count(12)
    page.keyboard.press("Tab")
    expect(page.locator("svg.asking")).to_have_count(0)
    page.keyboard.press("Tab")  # the external network
    expect(page.locator("svg.asking .node.near").first).to_be_visible()


def test_it_changes_while_it_is_looked_at_and_finds_networks(page: Page, cloud: Cloud) -> None:
    page.goto("/networks/topology")
    made = cloud.api("POST", "/networks", {"name": "live-lab", "subnet": {"cidr": "10.98.0.0/24"}})
    bar = page.locator(f"#node-{made['id']}")
    expect(bar).to_contain_text("10.98.0.0/24")
    readable(page)
    page.fill("[name=q]", "live-lab")
    expect(page.locator(".node.network")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"q=live-lab"))
    page.fill("[name=q]", "nonsense:1")
    expect(page.locator("#picture .list-fault")).to_be_visible()
    page.fill("[name=q]", "")
    cloud.api("DELETE", f"/networks/{made['id']}")
    expect(bar).to_have_count(0)
