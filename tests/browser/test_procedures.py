"""The everyday procedures by mouse and keyboard alone, on a cloud in memory, in both languages."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, ViewportSize

from tests.browser.conftest import Cloud, watch
from tests.browser.person import LOCALES, Person
from tests.browser.procedures import walk

pytestmark = pytest.mark.browser
WINDOW: ViewportSize = {"width": 1280, "height": 900}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_everyday_procedures(chromium: Browser, cloud: Cloud, language: str) -> None:
    context = chromium.new_context(base_url=cloud.url, locale=LOCALES[language], viewport=WINDOW)
    context.set_default_timeout(20_000)
    page = context.new_page()
    wrong = watch(page)
    person = Person(page, language)
    person.logs_in(cloud.password)
    walk(person, f"daily-{language}", guest=False)
    assert not wrong, wrong
    context.close()
