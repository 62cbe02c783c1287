"""What a new user does with networks: the script, for machines of any kind and in either language."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from tests.browser.person import Person

ENGLISH = {
    "networks": "Networks", "routing": "Routing", "security": "Security", "floating ips": "Floating IPs",
    "balancers": "Load balancers", "services": "Network services", "reach": "Reachability", "topology": "Topology",
    "activity": "Activity",
    "create a network": "Create a network", "create a router": "Create a router",
    "connect a subnet": "Connect a subnet", "create a group": "Create a security group", "add a rule": "Add a rule",
    "allocate": "Allocate a floating IP", "associate": "Associate", "create a balancer": "Create a load balancer",
    "check": "Check",
    "yes": "Yes: db1 can reach web1 by TCP 22.", "no": "No: db1 cannot reach web1 by TCP 80.",
    "missing": "Add the missing rule to ssh-only", "undone": "undone", "online": "online",
    "made instance": "Create instance", "made balancer": "Create load balancer", "allocated": "Allocate floating IP",
    "associated": "Associate floating IP",
}  # fmt: skip
CHINESE = {
    "networks": "网络", "routing": "路由", "security": "安全", "floating ips": "浮动 IP", "balancers": "负载均衡",
    "services": "网络服务",
    "reach": "连通性", "topology": "拓扑", "activity": "操作记录", "create a network": "创建网络",
    "create a router": "创建路由器", "connect a subnet": "连接子网", "create a group": "创建安全组",
    "add a rule": "添加规则", "allocate": "申请浮动 IP", "associate": "绑定", "create a balancer": "创建负载均衡",
    "check": "检查", "yes": "可达：db1 可以通过 TCP 22 访问 web1。", "no": "不可达：db1 无法通过 TCP 80 访问 web1。",
    "missing": "为 ssh-only 补上缺少的规则", "undone": "已撤销", "online": "在线", "made instance": "创建云主机",
    "made balancer": "创建负载均衡", "allocated": "申请浮动 IP", "associated": "将浮动 IP",
}  # fmt: skip
WORDS = {"en": ENGLISH, "zh": CHINESE}


class Networker(Person):
    """One who builds networks by mouse and keyboard."""

    def knows(self, language: str) -> None:
        """The words of the networks' pages, besides those of the machines'."""
        self.words = {**self.words, **WORDS[language]}

    def opens_section(self, *words: str) -> None:
        """The networks' pages, by the two rows of their tabs."""
        self.goes_to("networks")
        for word, row in zip(words, ("nav.sections", "nav.subtabs"), strict=False):
            self.page.locator(row).get_by_role("link", name=self.words[word], exact=True).click()
            expect(self.page.locator(f"{row} [aria-current]")).to_have_text(self.words[word])

    def submits(self) -> None:
        """The form of the page, once what it would do has been read."""
        expect(self.page.locator("#plan .plan-title")).to_be_visible()
        self.page.locator("#form button[type=submit]").click()

    def makes_network(self, name: str, cidr: str) -> None:
        """With one subnet, and no router yet."""
        self.opens_section("networks")
        self.presses("create a network")
        self.page.fill("input[name=name]", name)
        self.page.fill("input[name=cidr]", cidr)
        self.page.uncheck("input[name=routed]")
        self.submits()
        expect(self.page.locator("main")).to_contain_text(cidr)

    def makes_router(self, name: str, *cidrs: str) -> None:
        """With a way out, and a leg in each subnet."""
        self.opens_section("routing")
        self.presses("create a router")
        self.page.fill("input[name=name]", name)
        self.submits()
        expect(self.page.locator("h1")).to_have_text(name)
        for cidr in cidrs:
            self.presses("connect a subnet")
            entry = self.page.locator("select[name=subnet]")
            entry.select_option(value=entry.locator("option", has_text=cidr).get_attribute("value"))
            self.submits()
            expect(self.page.locator("h1")).to_have_text(name)
            expect(self.page.locator("main")).to_contain_text(cidr)

    def makes_group(self, name: str) -> None:
        """One that lets SSH in, which is what the form of a rule proposes."""
        self.opens_section("security")
        self.presses("create a group")
        self.page.locator("#dialog[open] input[name=name]").fill(name)
        self.agrees()
        expect(self.page.locator("h1")).to_have_text(name)
        self.presses("add a rule")
        self.agrees()
        expect(self.page.locator("main tbody").first).to_contain_text("22")

    def makes_machine(self, name: str, network: str, group: str, key: str) -> str:
        """In a network and a group; its address, as its page says it."""
        self.goes_to("instances")
        self.presses("create an instance")
        self.page.fill("input[name=name]", name)
        self.page.locator(".choice-card", has_text="tiny").first.click()
        self.page.locator(".choice-card", has_text=self.words["own size"]).click()
        self.page.fill("input[name=memory_mib]", "128M")
        self.page.fill("input[name=disk_bytes]", "1G")
        self.page.select_option("select[name=network]", label=network)
        self.page.fill("textarea[name=ssh_keys]", key)
        self.page.locator("details.form-section", has=self.page.locator("input[name=security_groups]")).click()
        self.page.get_by_label(group, exact=True).check()
        expect(self.page.locator("#plan .plan-title")).to_contain_text(name)
        self.presses("create")
        expect(self.page.locator("h1")).to_have_text(name)
        self.sees_state("running")
        found = re.search(r"10\.8\d\.0\.\d+", self.page.locator("main").inner_text())
        assert found
        return found[0]

    def gives_floating_ip(self, machine: str) -> str:
        """A new outside address that leads to a machine."""
        self.opens_section("routing", "floating ips")
        self.presses("allocate")
        self.agrees()
        row = self.page.locator("#list tbody tr")
        expect(row).to_have_count(1)
        self.presses("associate", row)
        entry = self.page.locator("#dialog[open] select[name=port]")
        entry.select_option(value=entry.locator("option", has_text=machine).get_attribute("value"))
        self.agrees()
        expect(row).to_contain_text(machine)
        return row.locator("code").first.inner_text()

    def makes_balancer(self, name: str, network: str, *members: str) -> str:
        """That answers on port 2222 of an outside address of its own, which its page says."""
        self.opens_section("services", "balancers")
        self.presses("create a balancer")
        self.page.fill("input[name=name]", name)
        self.page.select_option("select[name=network]", label=network)
        self.page.select_option("select[name=floating_ip]", "new")
        self.page.fill("input[name=port]", "2222")
        self.page.fill("input[name=member_port]", "22")
        for member in members:
            self.page.locator(".checks label", has_text=member).locator("input").check()
        self.submits()
        expect(self.page.locator("h1")).to_have_text(name)
        states = self.page.locator("main tbody .state", has_text=self.words["online"])
        expect(states).to_have_count(len(members), timeout=self.wait)
        fact = self.page.locator("dt", has_text=self.words["floating ips"].removesuffix("s")).locator("+ dd code")
        return fact.inner_text()

    def asks(self, source: str, target: str, port: str) -> Locator:
        """Can one machine talk to the other? The answer's card."""
        self.opens_section("reach")
        self.page.fill("input[name=source]", source)
        self.page.fill("input[name=target]", target)
        self.page.fill("input[name=port]", port)
        self.presses("check")
        return self.page.locator("section[aria-live]")

    def takes_back(self, title: str) -> None:
        """A change, by its line in the history."""
        self.goes_to("activity")
        row = self.page.locator("#list tbody tr", has=self.page.get_by_role("link", name=re.compile(f"^{title}"))).first
        self.presses("undo", row)
        expect(row).to_contain_text(self.words["undone"], timeout=self.wait)


def build(person: Networker, key: str) -> dict[str, str]:
    """Two networks, a router, a group, three machines, a floating IP and a balancer; who has which address."""
    person.makes_network("front", "10.81.0.0/24")
    person.makes_network("back", "10.82.0.0/24")
    person.makes_router("edge", "10.81.0.0/24", "10.82.0.0/24")
    person.makes_group("ssh-only")
    found = {name: person.makes_machine(name, "front", "ssh-only", key) for name in ("web1", "web2")}
    found["db1"] = person.makes_machine("db1", "back", "ssh-only", key)
    found["outside"] = person.gives_floating_ip("db1")
    found["shop"] = person.makes_balancer("shop", "front", "web1", "web2")
    return found


def look(person: Networker, found: dict[str, str]) -> None:
    """Who can talk to whom, and what hangs on what."""
    answer = person.asks("db1", "web1", "22")
    expect(answer).to_contain_text(person.words["yes"])
    expect(answer).to_contain_text("ssh-only")
    answer = person.asks("db1", "web1", "80")
    expect(answer).to_contain_text(person.words["no"])
    expect(answer.get_by_role("button", name=person.words["missing"])).to_be_visible()
    person.opens_section("topology")
    picture = person.page.locator("[data-topology] svg")
    for word in ("front", "back", "edge", "shop", *found, *found.values()):
        if word != "outside":
            expect(picture).to_contain_text(word)


def take_back(person: Networker) -> None:
    """The last five changes, the newest first, and what is left of them."""
    said = person.words
    for title in (
        f"{said['made balancer']} shop", said["associated"], said["allocated"], f"{said['made instance']} db1",
        f"{said['made instance']} web2",
    ):  # fmt: skip
        person.takes_back(title)
    person.opens_section("topology")
    picture = person.page.locator("[data-topology] svg")
    expect(picture).to_contain_text("web1")
    for word in ("web2", "db1", "shop"):
        expect(picture).not_to_contain_text(word)
