"""A new user's networks by mouse and keyboard alone, on a cloud in memory, in both languages."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, ViewportSize

from tests.browser.conftest import Cloud, watch
from tests.browser.networking import Networker, build, look, take_back
from tests.browser.person import LOCALES

pytestmark = pytest.mark.browser
WINDOW: ViewportSize = {"width": 1280, "height": 900}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_from_two_networks_to_a_balancer_and_five_changes_back(chromium: Browser, cloud: Cloud, language: str) -> None:
    user = {"name": f"new-{language}", "password": "geheim geheim 1"}
    cloud.api("POST", "/projects", {"name": f"shop-{language}"})
    cloud.api("POST", "/users", {**user, "project": f"shop-{language}"})
    context = chromium.new_context(base_url=cloud.url, locale=LOCALES[language], viewport=WINDOW)
    context.set_default_timeout(20_000)
    page = context.new_page()
    wrong = watch(page)
    person = Networker(page, language)
    person.knows(language)
    person.logs_in(user["password"], user["name"])
    look(person, build(person, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0oSQxq3v1gXq7v1mO2WQ2kF8m0sZ4vC1oJ9t3bqk2H"))
    take_back(person)
    assert not wrong, wrong
    context.close()
