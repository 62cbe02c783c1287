"""The everyday procedures as a person walks them: one script, for machines of any kind and in either language."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.person import Person

PASSWORD = "geheim-1"


def walk(person: Person, name: str, *, guest: bool) -> None:
    """Create, start, add and remove a disk, clone, snapshot, restore in place and as a new machine, resize.
    ``guest``: a real one answers on its serial port."""
    page = person.page

    person.creates(name, PASSWORD)
    person.sees_state("running")

    person.power("stop")
    person.sees_state("stopped")
    person.power("start")
    person.sees_state("running")
    person.opens_tab("screen")
    expect(page.locator("[data-vnc] [data-status]")).to_have_text(person.words["connected"], timeout=person.wait)
    if guest:
        person.logs_into_serial(PASSWORD)
        person.types("grep -c vdb /proc/partitions", re.compile(r"^0$", re.M))

    person.adds_disk("48M", name=f"{name}-data")
    expect(person.disk(f"{name}-data")).to_contain_text("vdb", timeout=person.wait)
    if guest:
        person.opens_serial()
        person.types("grep vdb /proc/partitions", re.compile(r"\b49152 vdb"))

    person.detaches(f"{name}-data")
    expect(person.disk(f"{name}-data")).to_have_count(0, timeout=person.wait)
    if guest:
        person.opens_serial()
        person.types("grep -c vdb /proc/partitions", re.compile(r"^0$", re.M))
    person.goes_to("volumes")
    expect(page.locator("main")).to_contain_text(f"{name}-data")

    person.opens(name)
    person.clones(f"{name}-copy")
    person.opens(f"{name}-copy")
    person.sees_state("running")
    if guest:
        person.logs_into_serial(PASSWORD)
        person.types("hostname", re.compile(rf"^{name}-copy$", re.M))

    person.opens(name)
    if guest:
        person.opens_serial()
        person.types("echo good >/tmp/state; cat /tmp/state", re.compile(r"^good$", re.M))
    person.takes_snapshot("sound")
    if guest:
        person.opens_serial()
        person.types("echo broken >/tmp/state; cat /tmp/state", re.compile(r"^broken$", re.M))
    person.restores("sound")
    person.sees_state("running")
    if guest:
        person.opens_serial()
        person.types("cat /tmp/state", re.compile(r"^good$", re.M))
    person.restores("before-sound")
    person.sees_state("running")
    if guest:
        person.opens_serial()
        person.types("cat /tmp/state", re.compile(r"^broken$", re.M))
    person.restores_as("sound", f"{name}-then")
    person.opens(f"{name}-then")
    person.sees_state("running")

    person.opens(name)
    person.resizes("160M")
    person.opens_tab("overview")
    expect(page.locator("main")).to_contain_text("160 MiB")
    person.power("reboot")
    person.sees_state("running")
    if guest:
        person.logs_into_serial(PASSWORD)
        person.types("head -1 /proc/meminfo", re.compile(r"MemTotal: +1[2-5]\d{4} kB"))
