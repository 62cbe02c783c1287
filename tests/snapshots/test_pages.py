"""Snapshots in the panel: the tree on an instance's page, the dialogs with what they would do, the list, the trash."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from fastapi.testclient import TestClient

from tests.compute.test_pages import browser as _browser
from tests.compute.test_pages import reader, told
from tests.snapshots.conftest import Past
from yun.base.context import Actor
from yun.compute import service as compute
from yun.snapshots.model import State
from yun.storage.model import Volume

browser = _browser
Browser = Callable[..., TestClient]


def names(page: str) -> list[str]:
    """The names in the drawn tree, from its top."""
    found = re.findall(r'class="snap-name">(?:<a [^>]*>)?([^<]+)', page)
    return [html.unescape(name).strip() for name in found]


def test_the_tab_teaches_the_first_step_and_then_draws_the_tree(past: Past, browser: Browser) -> None:
    page = browser()
    place = f"/instances/{past.lab.row().id}"
    first = page.get(f"{place}/snapshots").text
    assert "No snapshots yet." in first
    assert "Take a snapshot" in first
    assert re.search(r'/snapshots"[^>]*>Snapshots</a>', page.get(place).text), "every page of it has the tab"
    past.take("clean", note="<b>x</b>")
    past.take("live", memory=True)
    past.restore("clean", memory=False)
    shown = page.get(f"{place}/snapshots").text
    assert "&lt;b&gt;x&lt;/b&gt;" in shown
    assert names(shown) == ["clean", "live", "before-clean", "You are here"], "what was left branches off"
    assert shown.count("with memory") == 2
    assert "kept before a restore" in shown
    chinese = page.get(f"{place}/snapshots", headers={"Accept-Language": "zh"}).text
    assert "当前位置" in chinese
    assert "含内存" in chinese


def test_a_snapshot_is_taken_in_the_dialog(past: Past, browser: Browser) -> None:
    page = browser()
    place = f"/instances/{past.lab.row().id}/snapshots"
    dialog = page.get(f"{place}/new").text
    assert 'value="snap-1"' in dialog
    assert re.search(r'name="memory"[^>]* checked', dialog), "it runs, so memory is proposed"
    typed = {"name": "before", "note": "why", "memory": "true", "quiesce": "true"}
    assert "memory is kept too" in page.post(f"{place}/preview", data=typed).text
    wrong = page.post(f"{place}/preview", data={**typed, "name": ""})
    assert "name" in told(wrong)["yun:marks"]["fields"]
    assert past.tree() == ([], ""), "a preview takes nothing"
    assert page.post(f"{place}/new", data=typed).status_code == 204
    past.lab.drain()
    row = past.row("before")
    assert (row.state, row.note, bool(row.memory_path)) == (State.AVAILABLE, "why", True)
    taken = page.post(f"{place}/preview", data=typed).text
    assert "already" in taken
    past.do(lambda ctx: compute.stop(ctx, compute.get(ctx, "web"), force=True))
    assert 'name="memory"' not in page.get(f"{place}/new").text, "what is off has nothing in memory"


def test_one_is_taken_from_the_palette_of_an_instance_that_is_chosen(past: Past, browser: Browser) -> None:
    page = browser()
    assert ">web · running<" in page.get("/snapshots/new").text
    missing = page.post("/snapshots/new/preview", data={"instance": ""})
    assert "instance" in told(missing)["yun:marks"]["fields"]
    typed = {"instance": past.lab.row().id, "name": "", "note": "", "memory": "true"}
    assert "snap-1" in page.post("/snapshots/new/preview", data=typed).text
    assert page.post("/snapshots/new", data=typed).status_code in (200, 303)
    past.lab.drain()
    assert past.row("snap-1").memory_path


def test_the_way_back_is_chosen_in_the_dialog(past: Past, browser: Browser) -> None:
    past.take("live", memory=True)
    past.write("later")
    page = browser()
    place = f"/snapshots/{past.row('live').id}/restore"
    dialog = page.get(place).text
    assert '<option value="memory" selected>' in dialog
    assert re.search(r'name="keep"[^>]* checked', dialog)
    assert 'name="added"' not in dialog, "no disk was added since"
    plan = page.post(f"{place}/preview", data={"way": "off", "keep": "true"}).text
    assert "It is off afterwards." in plan
    assert "kept as a snapshot first" in plan
    assert "choose one" in page.post(f"{place}/preview", data={"way": "else"}).text
    assert page.post(place, data={"way": "memory", "keep": "true"}).status_code in (200, 303)
    past.lab.drain()
    assert past.row("before-live").state == State.AVAILABLE
    assert "later" not in past.reads()


def test_a_disk_that_was_added_since_is_asked_for(past: Past, browser: Browser) -> None:
    past.take("early")
    past.do(lambda ctx: compute.add_disk(ctx, compute.get(ctx, "web"), size_bytes=2**30, name="data"))
    page = browser()
    place = f"/snapshots/{past.row('early').id}/restore"
    assert "Disks added since: data" in page.get(place).text
    plan = page.post(f"{place}/preview", data={"way": "start", "keep": "true", "added": "remove"}).text
    assert "the volume data goes to the trash" in plan


def test_a_new_instance_and_a_disk_are_made_of_one(past: Past, browser: Browser) -> None:
    past.take("clean")
    page = browser()
    place = f"/snapshots/{past.row('clean').id}"
    assert 'value="web-clean"' in page.get(f"{place}/restore-as").text
    typed = {"name": "copy", "memory_mib": "512M", "vcpus": "2", "start": "true"}
    plan = page.post(f"{place}/restore-as/preview", data=typed).text
    assert "2 vCPU, 512 MiB" in plan
    assert page.post(f"{place}/restore-as", data=typed).status_code in (200, 303)
    past.lab.drain()
    assert (past.lab.row("copy").vcpus, past.lab.row("copy").state) == (2, "running")
    assert "vda" in page.get(f"{place}/take-disk").text
    volume = past.row("clean")
    with past.lab.asking() as ctx:
        from yun.snapshots import service

        disk = service.disks_of(ctx.session, volume.id)[0].volume_id
    assert "can be attached" in page.post(f"{place}/take-disk/preview", data={"disk": disk}).text
    assert page.post(f"{place}/take-disk", data={"disk": disk, "name": "taken"}).status_code in (200, 303)
    past.lab.drain()
    assert "taken" in [row.name for row in past.lab.rows(Volume)]


def test_name_and_note_change_where_nobody_else_changed_them(past: Past, browser: Browser) -> None:
    past.take("clean")
    page = browser()
    place = f"/snapshots/{past.row('clean').id}/edit"
    shown = re.search(r'name="was" value="([^"]*)"', page.get(place).text)
    assert shown
    was = html.unescape(shown.group(1))
    assert page.post(place, data={"was": was, "name": "tidy", "note": "n"}).status_code == 204
    assert past.row("tidy").note == "n"
    crossed = page.post(place, data={"was": was, "name": "other", "note": ""}, headers={"HX-Request": "true"})
    assert crossed.status_code == 409


def test_the_list_one_snapshot_and_two_against_each_other(past: Past, browser: Browser) -> None:
    page = browser()
    assert "No snapshots yet." in page.get("/snapshots").text
    past.take("first", note="why")
    past.write("more")
    past.take("second", memory=True)
    listed = page.get("/snapshots?q=why").text
    assert ">first<" in listed
    assert ">second<" not in listed
    assert "Nothing matches." in page.get("/snapshots?q=nothing").text
    assert page.get("/snapshots?sort=name").text.index(">first<") < page.get("/snapshots?sort=name").text.index(
        ">second<"
    )
    one = page.get(f"/snapshots/{past.row('second').id}").text
    assert "Memory and disks are of the same moment." in one
    assert "The instance as it is now grew from this snapshot." in one
    ids = [past.row(name).id for name in ("second", "first")]
    both = page.get(f"/snapshots/compare?id={ids[0]}&id={ids[1]}").text
    assert both.index("first") < both.index("second"), "the older one first"
    assert "written" in both
    assert "Tick two snapshots" in page.get(f"/snapshots/compare?id={ids[0]}").text


def test_snapshots_go_to_the_trash_one_by_one_or_many_at_once_and_come_back(past: Past, browser: Browser) -> None:
    for name in ("a", "b", "c"):
        past.take(name)
    page = browser()
    ids = {name: past.row(name).id for name in ("a", "b", "c")}
    assert "goes to the trash" in page.get(f"/snapshots/{ids['a']}/delete/preview").text
    assert page.post(f"/snapshots/{ids['a']}/delete").status_code in (200, 303)
    chosen = f"id={ids['b']}&id={ids['c']}&id={ids['a']}"
    plan = page.get(f"/snapshots/bulk/delete/preview?{chosen}").text
    assert "Delete 2 snapshots" in plan
    assert "Left out" in plan
    done = page.post("/snapshots/bulk/delete", data={"id": [ids["b"], ids["c"]]})
    assert len(told(done)["yun:toast"]["undo_all"]) == 2
    past.lab.drain()
    assert past.tree() == ([], "")
    trash = page.get("/trash?kind=snapshot").text
    assert f'href="/snapshots/{ids["a"]}"' in trash
    assert "In the trash" in page.get(f"/snapshots/{ids['a']}").text
    item = re.search(r"/trash/(tra_\w+)/restore", trash)
    assert item, trash
    assert page.post(f"/trash/{item.group(1)}/restore", data={}).status_code == 204
    past.lab.drain()
    assert len(past.tree()[0]) == 1


def test_a_reader_sees_and_changes_nothing(past: Past, browser: Browser) -> None:
    past.take("clean")
    page = browser(reader(past.lab))
    shown = page.get(f"/instances/{past.lab.row().id}/snapshots").text
    assert ">clean<" in shown
    assert "Take a snapshot" not in shown
    assert "/restore" not in shown
    place = f"/snapshots/{past.row('clean').id}"
    for verb in ("restore", "restore-as", "take-disk", "edit"):
        assert page.get(f"{place}/{verb}").status_code == 403, verb
    stranger = browser(Actor("user", "usr_x", "x", {"prj_elsewhere": "admin"}))
    assert stranger.get(place).status_code == 404


def test_a_running_instance_is_forked_in_the_form(past: Past, browser: Browser) -> None:
    page = browser()
    place = f"/instances/{past.lab.row().id}/snapshots"
    assert f'href="{place}/fork"' in page.get(place).text
    assert 'value="web-2"' in page.get(f"{place}/fork").text
    typed = {"name": "twin-{n}", "count": "2", "isolated": "true"}
    plan = page.post(f"{place}/fork/preview", data=typed).text
    assert "2 forks go on from this moment: twin-1, twin-2." in plan
    assert page.post(f"{place}/fork", data=typed).headers["location"].endswith("/instances")
    past.lab.drain()
    assert [past.lab.row(name).state for name in ("twin-1", "twin-2")] == ["running", "running"]
