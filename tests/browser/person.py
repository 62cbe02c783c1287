"""A person before the panel: what they read, click and wait for, in their own language. Never asks the API.

Words are written out here as they stand on the screen, so that a changed or missing translation is noticed.
"""

from __future__ import annotations

import re
import time
from typing import Any

from playwright.sync_api import Locator, Page, expect

ENGLISH = {
    "create an instance": "Create an instance", "create": "Create", "own size": "Own size", "running": "running",
    "stopped": "stopped", "stop": "Stop", "start": "Start", "disks": "Disks", "add disk": "Add disk",
    "detach": "Detach", "settings": "Settings", "save": "Save", "resize": "Resize", "serial": "Serial console",
    "connected": "Connected", "screen": "Screen", "undo": "Undo", "reboot": "Reboot", "activity": "Activity",
    "at once": "It takes effect at once, while the instance runs.", "next start": "at the next start",
    "floating": "Give it a floating IP", "hosts": "Hosts", "volumes": "Volumes", "instances": "Instances",
    "clone": "Clone", "overview": "Overview", "snapshots": "Snapshots", "take snapshot": "Take a snapshot",
    "restore": "Restore", "restore as": "Restore as a new instance", "memory": "with memory",
}  # fmt: skip
CHINESE = {
    "create an instance": "创建云主机", "create": "创建", "own size": "自定义", "running": "运行中",
    "stopped": "已关机", "stop": "停止", "start": "启动", "disks": "磁盘", "add disk": "添加磁盘",
    "detach": "卸载", "settings": "设置", "save": "保存", "resize": "调整规格", "serial": "串口控制台",
    "connected": "已连接", "screen": "屏幕", "undo": "撤销", "reboot": "重启", "activity": "操作记录",
    "at once": "立即生效，云主机无需停机。", "next start": "下次启动", "floating": "分配浮动 IP", "hosts": "宿主机",
    "volumes": "云硬盘",
    "instances": "云主机", "clone": "克隆", "overview": "概览", "snapshots": "快照", "take snapshot": "创建快照",
    "restore": "恢复", "restore as": "恢复为新云主机", "memory": "含内存",
}  # fmt: skip
WORDS = {"en": ENGLISH, "zh": CHINESE}
LOCALES = {"en": "en-US", "zh": "zh-CN"}


class Person:
    """One who works with the mouse and the keyboard, reads, and waits up to ``patience`` seconds for a machine."""

    def __init__(self, page: Page, language: str, patience: float = 60) -> None:
        self.page = page
        self.words = WORDS[language]
        self.wait = patience * 1000

    # ── ways of doing ──

    def logs_in(self, password: str, name: str = "admin") -> None:
        """As the first administrator, or as who is named."""
        self.page.goto("/login")
        self.page.fill("input[name=name]", name)
        self.page.fill("input[name=password]", password)
        self.page.click(".login button[type=submit]")
        expect(self.page.locator("h1")).to_be_visible()

    def goes_to(self, word: str) -> None:
        """Click an entry of the side bar."""
        self.page.locator("nav.sidenav").get_by_role("link", name=self.words[word], exact=True).click()

    def opens_tab(self, word: str) -> None:
        """Click a tab of the thing."""
        self.page.locator("nav.tabs").get_by_role("link", name=self.words[word], exact=True).click()

    def presses(self, word: str, within: Locator | None = None) -> None:
        """Click a button or a link that looks like one."""
        place = within or self.page.locator("main")
        pressed = place.get_by_role("button", name=self.words[word], exact=True)
        pressed.or_(place.get_by_role("link", name=self.words[word], exact=True)).first.click()

    def agrees(self) -> None:
        """Press the dialog's own button and see the dialog go."""
        dialog = self.page.locator("#dialog[open]")
        expect(dialog).to_be_visible()
        dialog.locator("button[type=submit]").last.click()
        expect(dialog).to_have_count(0)

    def sees_state(self, word: str) -> None:
        """The thing's state, as its page says it."""
        expect(self.page.locator(".thing-title .state")).to_have_text(self.words[word], timeout=self.wait)

    # ── the procedures ──

    def creates(self, name: str, password: str, memory: str = "128M") -> None:
        """A machine from the tiny image with a size of its own, from the list."""
        self.goes_to("instances")
        self.presses("create an instance")
        self.page.fill("input[name=name]", name)
        self.page.locator(".choice-card", has_text="tiny").first.click()
        self.page.locator(".choice-card", has_text=self.words["own size"]).click()
        self.page.fill("input[name=memory_mib]", memory)
        self.page.fill("input[name=disk_bytes]", "1G")
        self.page.fill("input[name=password]", password)
        expect(self.page.locator("#plan .plan-title")).to_contain_text(name)
        self.presses("create")
        expect(self.page).to_have_url(re.compile("/instances/ins_"))
        expect(self.page.locator("h1")).to_have_text(name)

    def opens_serial(self) -> None:
        """The serial console in the browser."""
        self.opens_tab("serial")
        status = self.page.locator("[data-serial] [data-status]")
        expect(status).to_have_text(self.words["connected"], timeout=self.wait)

    def logs_into_serial(self, password: str) -> None:
        """On the serial console in the browser, as the image's user."""
        self.opens_serial()
        rows = self.page.locator(".xterm-rows")
        # What stands last counts: above it may be what the machine said before it was switched off.
        expect(rows).to_contain_text(re.compile(r"login:\s*$"), timeout=self.wait)
        self.page.locator(".xterm").click()
        self.page.keyboard.type("root\n")
        expect(rows).to_contain_text(re.compile(r"assword:\s*$"), timeout=self.wait)
        self.page.keyboard.type(password + "\n")
        expect(rows).to_contain_text(re.compile(r"#\s*$"), timeout=self.wait)

    def types(self, command: str, answer: re.Pattern[str]) -> None:
        """A command on the serial console, again and again until its answer is read."""
        rows = self.page.locator(".xterm-rows")
        self.page.locator(".xterm").click()
        end = time.monotonic() + self.wait / 1000
        while True:
            self.page.keyboard.type(f"clear; {command}\n")
            self.page.wait_for_timeout(1500)
            text = rows.inner_text().replace("\xa0", " ")
            if answer.search(text):
                return
            assert time.monotonic() < end, text

    def adds_disk(self, size: str, **more: str) -> None:
        """By its form, after reading what it says; ``more`` are values of its other fields."""
        self.opens_tab("disks")
        self.presses("add disk")
        self.page.fill("input[name=size_bytes]", size)
        for field, value in more.items():
            entry: Any = self.page.locator(f"[name={field}]")
            if entry.evaluate("e => e.tagName") == "SELECT":
                entry.select_option(value)
            else:
                entry.fill(value)
        expect(self.page.locator("#plan")).to_contain_text(self.words["at once"])
        self.page.locator("main form button[type=submit]").click()
        expect(self.page).to_have_url(re.compile("/disks$"))

    def disk(self, name: str) -> Locator:
        """A disk's line on the disks' tab."""
        return self.page.locator("main tbody tr", has_text=name)

    def detaches(self, name: str) -> None:
        """By the button in its line, after reading what it means."""
        self.opens_tab("disks")
        self.presses("detach", self.disk(name))
        expect(self.page.locator("#dialog[open]")).to_contain_text(self.words["at once"])
        self.agrees()

    def undoes(self) -> None:
        """By the offer that an action leaves on the screen."""
        self.page.locator(".toast-box").get_by_role("button", name=self.words["undo"]).last.click()

    def resizes(self, memory: str) -> None:
        """Another memory, in the settings."""
        self.opens_tab("settings")
        self.presses("resize")
        dialog = self.page.locator("#dialog[open]")
        dialog.locator("select[name=flavor]").select_option("")
        dialog.locator("input[name=memory_mib]").fill(memory)
        self.agrees()

    def power(self, word: str) -> None:
        """A verb of power, agreeing where it asks."""
        self.presses(word, self.page.locator(".page-actions"))
        if word != "start":
            self.agrees()

    def node(self, name: str) -> Locator:
        """A snapshot's line in the tree."""
        line = self.page.locator(".snap-row")
        return line.filter(has=self.page.get_by_role("link", name=name, exact=True))

    def takes_snapshot(self, name: str) -> None:
        """Of the open machine, with its memory, as the dialog proposes; until it stands in the tree."""
        self.opens_tab("snapshots")
        self.presses("take snapshot")
        dialog = self.page.locator("#dialog[open]")
        dialog.locator("input[name=name]").fill(name)
        expect(dialog.locator("input[name=memory]")).to_be_checked()
        expect(dialog).to_contain_text(name)
        self.agrees()
        expect(self.node(name)).to_contain_text(self.words["memory"], timeout=self.wait)
        expect(self.node(name).get_by_role("button", name=self.words["restore"], exact=True)).to_be_enabled()

    def restores(self, name: str) -> None:
        """The open machine to a snapshot, keeping what it is now, as the dialog proposes; until the tree says so."""
        self.opens_tab("snapshots")
        before = self.page.locator(".snap-row").count()
        self.presses("restore", self.node(name))
        expect(self.page.locator("#dialog[open]").locator("input[name=keep]")).to_be_checked()
        self.agrees()
        expect(self.page.locator(".snap-row")).to_have_count(before + 1, timeout=self.wait)

    def restores_as(self, name: str, new: str) -> None:
        """A snapshot as another machine, by its menu and the form."""
        self.opens_tab("snapshots")
        self.node(name).locator("details.menu > summary").click()
        self.node(name).get_by_role("link", name=self.words["restore as"], exact=True).click()
        self.page.fill("input[name=name]", new)
        expect(self.page.locator("#plan .plan-title")).to_contain_text(new)
        self.page.locator("main form button[type=submit]").click()
        expect(self.page).not_to_have_url(re.compile("/restore-as$"))

    def opens(self, name: str) -> None:
        """A machine, from the list."""
        self.goes_to("instances")
        self.page.locator("#list").get_by_role("link", name=name, exact=True).click()
        expect(self.page.locator("h1")).to_have_text(name)

    def clones(self, name: str) -> None:
        """The open machine, by its menu and the form, after reading what it says."""
        self.page.locator(".page-actions details.menu > summary").click()
        self.page.locator(".page-actions").get_by_role("link", name=self.words["clone"], exact=True).click()
        self.page.fill("input[name=name]", name)
        expect(self.page.locator("#plan .plan-title")).to_contain_text(name)
        self.page.locator("main form button[type=submit]").click()
        expect(self.page).not_to_have_url(re.compile("/clone$"))
