"""A SPICE screen of a real machine: in Chromium, and through the local port that the command opens for viewers."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.person import Person
from tests.real.cloud import STATE, YUN, Desk, until

pytestmark = [pytest.mark.real, pytest.mark.browser, pytest.mark.timeout(900)]
VIEWER = """
import socket, struct, sys
from tests.drivers.hypervisor.screen_contract import MAIN, _heard, linked
end = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20)
linked(end, MAIN)
seen = []
while 103 not in seen:
    kind, size = struct.unpack("<HI", _heard(end, 6))
    _heard(end, size)
    seen.append(kind)
print("let in")
"""
"""A viewer's first words, until the server's ``MAIN_INIT``: the session has begun."""
DRAWN = """() => { const c = document.querySelector('[data-spice] canvas'); if (!c) return 0;
  const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; const seen = new Set();
  for (let i = 0; i < d.length; i += 4) seen.add((d[i] << 16) | (d[i + 1] << 8) | d[i + 2]); return seen.size; }"""


def test_a_spice_screen_is_seen_in_the_browser_and_through_a_viewers_port(desk: Desk, chromium_there: Browser) -> None:
    made = desk.yun("instance", "create", "seen", "--image", "tiny", "--flavor", "tiny")
    desk.yun("instance", "configure", made["id"], "--display", "spice")
    desk.yun("instance", "reboot", made["id"], "--hard")
    file = Path(f"/proc/{desk.host.pid}/root/run/seen.vv")
    command = [YUN, "instance", "spice", "seen", "--file", "/run/seen.vv"]
    enter = ["nsenter", "-t", str(desk.host.pid), "-m", "-u", "-n", "-i", "-p", f"--wd={os.getcwd()}", "--"]
    bridge = subprocess.Popen([*enter, *command])
    try:
        until(file.exists, 30)
        port = dict(line.split("=", 1) for line in file.read_text().splitlines()[1:])["port"]
        assert desk.host.run("env", f"PYTHONPATH={os.getcwd()}", str(Path(YUN).with_name("python")), "-c", VIEWER, port,
                             timeout=60).strip() == "let in"  # fmt: skip
    finally:
        bridge.terminate()
        bridge.wait(20)
    in_the_browser(desk, chromium_there, made["id"])
    desk.yun("instance", "delete", made["id"], "--force")


def in_the_browser(desk: Desk, chromium: Browser, identifier: str) -> None:
    """The guest's screen is drawn, in more than one colour."""
    context = chromium.new_context(base_url="http://127.0.0.1:8480", locale="en-US")
    page = context.new_page()
    Person(page, "en", patience=60).logs_in(desk.host.run("cat", f"{STATE}/admin.password").strip())
    page.goto(f"/instances/{identifier}/console")
    expect(page.locator("[data-spice]")).to_have_attribute("data-state", "connected", timeout=30_000)
    end = time.monotonic() + 60
    while page.evaluate(DRAWN) < 2:
        assert time.monotonic() < end, "nothing was drawn"
        time.sleep(0.5)
    context.close()
