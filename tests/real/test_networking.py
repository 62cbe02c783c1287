"""A new user's networks by mouse and keyboard alone, in a real browser, with real machines that answer."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import watch
from tests.browser.networking import Networker, build, look, take_back
from tests.browser.person import LOCALES
from tests.real.cloud import Desk, until

pytestmark = [pytest.mark.real, pytest.mark.browser, pytest.mark.timeout(600)]
PASSWORD = "geheim 密码 1\n"


def banner(desk: Desk, address: str, port: int) -> str:
    """What a server says first, asked from the host; empty where nobody answers."""
    call = f"head -1 < /dev/tcp/{address}/{port}"
    return desk.host.run("timeout", "4", "bash", "-c", call, check=False).strip()


def test_from_two_networks_to_a_balancer_and_five_changes_back(chromium_there: Browser, desk: Desk) -> None:
    desk.yun("project", "create", "shop")
    desk.yun("user", "create", "li", "--in-project", "shop", "--password-file", f"{desk.host.directory}/password")
    context = chromium_there.new_context(
        base_url="http://127.0.0.1:8480", locale=LOCALES["zh"], viewport={"width": 1280, "height": 900}
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    wrong = watch(page)
    person = Networker(page, "zh", patience=120)
    person.knows("zh")
    person.logs_in(PASSWORD.strip(), "li")
    try:
        found = build(person, desk.key.with_suffix(".pub").read_text().strip())
        look(person, found)

        # The answers of the page are the machines' own.
        until(lambda: desk.ssh(found["outside"], "hostname") == "db1", 60)
        asked = f"nc -w 3 {found['web1']} %d < /dev/null | head -1"
        assert desk.ssh(found["outside"], asked % 22).startswith("SSH-2.0")
        assert desk.ssh(found["outside"], asked % 80) == ""
        assert banner(desk, found["shop"], 2222).startswith("SSH-2.0")
        assert banner(desk, found["outside"], 80) == ""

        take_back(person)
        assert banner(desk, found["shop"], 2222) == ""
        assert desk.ssh(found["outside"], "hostname") == ""
    except BaseException:
        page.screenshot(path=desk.host.directory / "networking.png")
        raise
    assert not wrong, wrong
    context.close()
    desk.settle()
