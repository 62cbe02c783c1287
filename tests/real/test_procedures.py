"""The everyday procedures by mouse and keyboard alone, in a real browser, on real machines, in both languages."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import watch
from tests.browser.person import LOCALES, Person
from tests.browser.procedures import walk
from tests.real.cloud import STATE, Desk

pytestmark = [pytest.mark.real, pytest.mark.browser, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_everyday_procedures_on_real_machines(chromium_there: Browser, desk: Desk, language: str) -> None:
    context = chromium_there.new_context(
        base_url="http://127.0.0.1:8480", locale=LOCALES[language], viewport={"width": 1280, "height": 900}
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    wrong = watch(page)
    person = Person(page, language, patience=180)
    person.logs_in(desk.host.run("cat", f"{STATE}/admin.password").strip())
    try:
        walk(person, f"daily-{language}", guest=True)
    except BaseException:
        page.screenshot(path=desk.host.directory / f"{language}.png")
        raise
    assert not wrong, wrong
    context.close()
    desk.clear()
    desk.settle()
