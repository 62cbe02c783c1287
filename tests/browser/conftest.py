"""The panel in a real Chromium, before a whole cloud in memory that the suite starts."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, expect
from playwright.sync_api import Response as Answer

from yun.web import assets

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
# What a page may say without a test failing: the browser's own word on an answer that the test asked for.
ALLOWED = re.compile(
    r"(status of|Status Error Code) (401|403|404|409|422)|WebSocket is closed before the connection"
    r"|^htmx:(afterRequest|sendAbort)$|ERR_FAILED"
    r"|ERR_NETWORK_CHANGED"  # tests beside this one make and remove network cards
)


expect.set_options(timeout=20_000)


@dataclass(frozen=True)
class Cloud:
    """A running cloud: its address, the administrator's password, the root token."""

    url: str
    password: str
    token: str

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Call the API as the machine's root."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        asked = urllib.request.Request(f"{self.url}/api/v1{path}", data, headers, method=method)
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return json.load(answer)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """`yun dev` with some instances in it."""
    assets.build()
    state = tmp_path_factory.mktemp("cloud")
    environ = {k: v for k, v in os.environ.items() if not k.startswith("YUN_")}
    start = "from yun.cli import main; main()"
    options = ("--port", str(free_port()), "--seed", "60", "--boot-seconds", "1")
    command = [sys.executable, "-c", start, "dev", *options]
    log = (state / "log").open("w")
    process = subprocess.Popen(
        command, env={**environ, "YUN_STATE_DIR": str(state)}, stdout=subprocess.PIPE, stderr=log, text=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("ready "), (state / "log").read_text()[-3000:]
        yield Cloud(
            line.split()[1],
            (state / "admin.password").read_text().strip(),
            (state / "root.token").read_text().strip(),
        )
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()
        log.close()


@pytest.fixture(scope="session")
def chromium(play: Playwright) -> Iterator[Browser]:
    """The browser."""
    where = shutil.which("chromium") or shutil.which("google-chrome")
    browser = play.chromium.launch(executable_path=where, args=list(FLAGS))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def logged_in(chromium: Browser, cloud: Cloud) -> Any:
    """The administrator's cookies."""
    context = chromium.new_context(locale="en-US")
    page = context.new_page()
    page.goto(f"{cloud.url}/login")
    page.fill("input[name=name]", "admin")
    page.fill("input[name=password]", cloud.password)
    page.click(".login button[type=submit]")
    page.wait_for_url(f"{cloud.url}/")
    state = context.storage_state()
    context.close()
    return state


def watch(page: Page) -> list[str]:
    """Gather what goes wrong inside a page: script errors, refused scripts and styles, failed requests."""
    wrong: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not ALLOWED.search(message.text):
            wrong.append(message.text)

    def answered(answer: Answer) -> None:
        if answer.status >= 500:
            wrong.append(f"{answer.status} {answer.url}")

    page.on("console", heard)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("response", answered)
    return wrong


@pytest.fixture
def window(chromium: Browser, cloud: Cloud, logged_in: Any) -> Iterator[BrowserContext]:
    """A fresh window of the administrator, 1280 wide, English, light."""
    context = chromium.new_context(
        storage_state=logged_in, locale="en-US", base_url=cloud.url, viewport={"width": 1280, "height": 900}
    )
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def page(window: BrowserContext) -> Iterator[Page]:
    """A page in which nothing may go wrong while the test lasts."""
    made = window.new_page()
    wrong = watch(made)
    yield made
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def machine(cloud: Cloud) -> Any:
    """Makes running instances by name and waits for them."""

    def make(name: str, **values: Any) -> dict[str, Any]:
        wish = {"name": name, "image": "tiny", "vcpus": 1, "memory_mib": 96, **values}
        made = cloud.api("POST", "/instances", wish)
        settle(cloud, made["id"])
        found: dict[str, Any] = cloud.api("GET", f"/instances/{made['id']}")
        return found

    return make


def settle(cloud: Cloud, instance_id: str) -> None:
    """Wait until nothing is being done to an instance."""
    for _attempt in range(300):
        if cloud.api("GET", f"/instances/{instance_id}")["task"] is None:
            return
        time.sleep(0.1)
    raise AssertionError(f"{instance_id} does not come to rest")
