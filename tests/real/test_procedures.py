"""The everyday procedures by mouse and keyboard alone, in a real browser, on real machines, in both languages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import FLAGS, watch
from tests.browser.person import LOCALES, Person
from tests.browser.procedures import walk
from tests.real.cloud import STATE, Desk

pytestmark = [pytest.mark.real, pytest.mark.browser, pytest.mark.timeout(1200)]


@pytest.fixture
def chromium_there(desk: Desk, tmp_path: Path) -> Iterator[Browser]:
    """A browser in the private host's network; it is spoken to through pipes."""
    where = shutil.which("chromium") or shutil.which("google-chrome")
    starter = tmp_path / "chromium"
    starter.write_text(f'#!/bin/sh\nexec nsenter -t {desk.host.pid} -n -- {where} "$@"\n')
    starter.chmod(0o755)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=starter, args=list(FLAGS))
        yield browser
        browser.close()


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
