"""Takes the pictures of the panel: runs a cloud in memory, logs in with a real browser, saves PNG files.

Run: ``python docs/pictures.py [--all] [DIRECTORY]``; ``--all`` takes every page at both widths, themes and languages.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

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
    "networks": "/networks", "topology": "/networks/topology", "volumes": "/volumes",
    "security-groups": "/networks/security-groups",
    "floating-ips": "/networks/floating-ips", "activity": "/operations", "trash": "/trash", "users": "/users",
    "projects": "/projects", "flavors": "/flavors", "pools": "/pools", "account": "/account", "tokens": "/tokens",
    "routers": "/networks/routers", "keys": "/keys", "found-machines": "/found-machines",
    "import": "/instances/import", "load-balancers": "/networks/load-balancers",
    "create-load-balancer": "/networks/load-balancers/new", "ports": "/networks/ports",
    "recorded-packets": "/networks/captures", "physical-networks": "/networks/physical",
    "port-forwarding": "/networks/port-forwardings", "peerings": "/networks/peerings",
    "address-sets": "/networks/address-sets", "service-chains": "/networks/service-chains", "reach": "/networks/reach",
    "all-snapshots": "/snapshots",
}  # fmt: skip
# Pages of one instance, below its address; and dialogs, opened on the page before the stroke.
TABS = {
    "instance": "", "guest": "/guest", "disks": "/disks", "cards": "/network", "settings": "/settings",
    "hardware": "/hardware", "clone": "/clone", "boot-order": "/boot-order", "snapshots": "/snapshots",
}  # fmt: skip
DIALOGS = {
    "detach": ("/disks", "/volumes/{data}/detach/preview"), "insert": ("/disks", "/instances/{web}/drives/insert"),
    "take-snapshot": ("/snapshots", "/instances/{web}/snapshots/new"),
    "drop": ("/settings", "/instances/{web}/drop-pending/preview"),
}  # fmt: skip
FOR_DOCS = {
    "en": ("overview", "instances", "instance", "topology", "disks", "detach", "hardware", "found-machines",
           "load-balancer"),
    "zh": ("overview", "instances", "topology", "disks", "detach", "hardware", "load-balancer"),
}
WIDE, NARROW = (1280, 860), (390, 844)


def serve(folder: str) -> tuple[subprocess.Popen[str], str]:
    """A cloud in memory; its process and address."""
    process = subprocess.Popen(
        [Path(sys.executable).with_name("yun"), "dev", "--port", "0", "--seed", "24"],
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


class Scene:
    """A machine with all that its pages show: disks, cards, a CD, and something that waits for the next start."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url, token
        self.ask("POST", "/pools", {"name": "fast", "path": "/srv/fast"})
        self.ask("POST", "/networks", {"name": "lab", "subnet": {"cidr": "10.70.0.0/24"}})
        wish = {"name": "web-01", "image": "debian-12", "vcpus": 2, "memory_mib": 2048, "disk_bytes": 20 << 30,
                "floating_ip": True, "tags": ["web"]}  # fmt: skip
        self.web: str = self.ask("POST", "/instances", wish)["id"]
        self.do("add-disk", {"size_bytes": 10 << 30, "name": "data"})
        self.do("add-nic", {"network": "lab"})
        self.do("insert", {"image": "virtio-win"})
        self.do("resize", {"vcpus": 4, "memory_mib": 4096})
        for name in ("fresh", "before-upgrade"):
            self.settle()
            self.ask("POST", "/snapshots", {"instance": self.web, "name": name, "memory": name != "fresh"})
        self.settle()
        self.ask("POST", "/snapshots/fresh/restore", {})
        web = [row["id"] for row in self.ask("GET", "/instances?q=tag:web%20state:running&limit=3")["items"]]
        self.ask("POST", "/load-balancers", {
            "name": "shop", "floating_ip": "new", "listeners": [{"port": 80, "member_port": 8080}],
            "members": [{"kind": "instance", "target": one} for one in web] + [{"kind": "tag", "target": "shop"}],
        })  # fmt: skip
        for _attempt in range(40):
            time.sleep(0.5)
            shop = self.ask("GET", "/load-balancers/shop")
            if all(h["state"] == "online" for one in shop["backends"] for h in one["health"] or [{"state": ""}]):
                break
        self.balancer: str = shop["id"]
        names = {row["name"]: row["id"] for row in self.ask("GET", "/volumes?q=data")["items"]}
        self.data: str = names["data"]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Call the API as the machine's root."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        asked = urllib.request.Request(f"{self.url}/api/v1{path}", data, headers, method=method)
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return json.load(answer)

    def settle(self) -> None:
        """Wait until nothing is being done to the machine."""
        for _attempt in range(100):
            if self.ask("GET", f"/instances/{self.web}")["task"] is None:
                break
            time.sleep(0.2)

    def do(self, verb: str, body: Any) -> None:
        """A change of the machine, once the one before it has ended."""
        self.settle()
        self.ask("POST", f"/instances/{self.web}/{verb}", body)


def shoot(page: Page, url: str, path: str, target: Path, dialog: str = "") -> None:
    """One picture, once the page has settled; of the dialog alone where one is named."""
    page.goto(url + path)
    if dialog:
        page.evaluate("where => htmx.ajax('GET', where, {target: '#dialog', swap: 'innerHTML'})", dialog)
        page.locator("#dialog[open]").wait_for()
    page.wait_for_timeout(700)
    (page.locator("#dialog[open]") if dialog else page).screenshot(path=target)


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
            scene = Scene(url, (Path(folder) / "root.token").read_text().strip())
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            looks = [(WIDE, "light", "en"), (WIDE, "light", "zh")]
            if everything:
                looks += [(WIDE, "dark", "en"), (NARROW, "light", "en"), (NARROW, "dark", "zh")]
            for size, theme, locale in looks:
                page = open_page(browser, size, theme, locale, url, password)
                one = f"/instances/{scene.web}"
                balancer = f"/networks/load-balancers/{scene.balancer}"
                pages = {**{n: (p, "") for n, p in PAGES.items()}, "load-balancer": (balancer, ""),
                         "add-member": (balancer, balancer + "/members/new"),
                         "add-listener": (balancer, balancer + "/listeners/new"),
                         **{n: (one + p, "") for n, p in TABS.items()},
                         **{n: (one + p, d.format(web=scene.web, data=scene.data)) for n, (p, d) in DIALOGS.items()},
                }  # fmt: skip
                for name, (path, dialog) in pages.items():
                    if everything or name in FOR_DOCS[locale]:
                        width = "" if size == WIDE and theme == "light" else f"-{theme}-{size[0]}"
                        shoot(page, url, path, target / f"{name}-{locale}{width}.png", dialog)
                page.context.close()
            browser.close()
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
