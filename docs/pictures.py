"""Takes the pictures of the panel: runs a cloud in memory, logs in with a real browser, saves PNG files.

Run: ``python docs/pictures.py [--all] [DIRECTORY]``; ``--all`` takes every page at both widths, themes and languages.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAGES = {
    "overview": "/", "instances": "/instances", "create": "/instances/new", "images": "/images", "hosts": "/hosts",
    "networks": "/networks", "security-groups": "/security-groups", "floating-ips": "/floating-ips",
    "volumes": "/volumes", "activity": "/activity", "trash": "/trash", "users": "/users", "projects": "/projects",
    "flavors": "/flavors", "pools": "/pools", "account": "/account", "routers": "/routers", "tokens": "/tokens",
    "keys": "/keys",
}  # fmt: skip
FOR_DOCS = (("overview", "en"), ("instances", "en"), ("instance", "en"), ("overview", "zh"), ("instances", "zh"))
WIDE, NARROW = (1280, 860), (390, 844)


def serve(folder: str) -> tuple[subprocess.Popen[str], str]:
    """A cloud in memory; its process and address."""
    process = subprocess.Popen(
        [Path(sys.executable).with_name("yun"), "dev", "--port", "0", "--seed", "60"],
        env={**os.environ, "YUN_STATE_DIR": folder}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    return process, process.stdout.readline().split()[1]


def log_in(page: Page, url: str, password: str) -> None:
    """As the first administrator."""
    page.goto(url + "/login")
    page.fill("input[name=name]", "admin")
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_load_state("load")


def open_page(browser: Browser, size: tuple[int, int], theme: str, locale: str, url: str, password: str) -> Page:
    """A logged-in page of a size, theme and language."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if theme == "dark" else "light",
        locale="zh-CN" if locale == "zh" else "en-GB",
    )  # fmt: skip
    context.add_cookies([{"name": "yun_locale", "value": locale, "url": url}])
    page = context.new_page()
    log_in(page, url, password)
    return page


def first_instance(page: Page, url: str) -> str:
    """The address of an instance's page."""
    page.goto(url + "/instances?q=state:running")
    return page.locator("a[href^='/instances/ins_']").first.get_attribute("href") or "/instances"


def shoot(page: Page, url: str, path: str, target: Path) -> None:
    """One picture, once the page has settled."""
    page.goto(url + path)
    page.wait_for_timeout(700)
    page.screenshot(path=target)


def main() -> None:
    """Take them."""
    names = [a for a in sys.argv[1:] if not a.startswith("--")]
    everything = "--all" in sys.argv
    target = Path(names[0] if names else "docs/pictures")
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        process, url = serve(folder)
        try:
            password = (Path(folder) / "admin.password").read_text().strip()
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            looks = [(WIDE, "light", "en"), (WIDE, "light", "zh")]
            if everything:
                looks += [(WIDE, "dark", "en"), (NARROW, "light", "en"), (NARROW, "dark", "zh")]
            for size, theme, locale in looks:
                page = open_page(browser, size, theme, locale, url, password)
                pages = {**PAGES, "instance": first_instance(page, url)}
                for name, path in pages.items():
                    if everything or (name, locale) in FOR_DOCS:
                        width = "" if size == WIDE and theme == "light" else f"-{theme}-{size[0]}"
                        shoot(page, url, path, target / f"{name}-{locale}{width}.png")
                page.context.close()
            browser.close()
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
