"""Whole volumes and several disks at once over HTTP, in the panel and by command: the same words, the same refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.compute.conftest import Lab
from tests.compute.test_api import asking
from tests.compute.test_cli import Run, parsed, run  # noqa: F401
from tests.compute.test_pages import HTMX, browser, reader  # noqa: F401
from tests.images.conftest import disk
from yun.compute import service
from yun.storage import service as storage
from yun.storage.model import Attachment, Volume

GIB = 1 << 30
Browser = Callable[..., TestClient]


@pytest.fixture(autouse=True)
def web(lab: Lab) -> None:
    """An instance ``web`` that runs, with the disks ``one`` and ``two`` beside its own."""
    lab.create()
    for name in ("one", "two"):
        lab.do(service.add_disk, "web", size_bytes=GIB, name=name)


def states(lab: Lab) -> dict[str, str]:
    """The volumes and their states."""
    return {v.name: v.state for v in lab.rows(Volume)}


# ── REST ──


def test_a_volume_is_copied_and_made_a_file_over_http(lab: Lab) -> None:
    with asking(lab) as api:
        preview = api.post("/volumes/one/copy?dry_run=true", json={"name": "saved"}, headers={"Accept-Language": "zh"})
        assert preview.json()["title"] == "将云硬盘 one 复制为 saved"
        assert "saved" not in states(lab)
        made = api.post("/volumes/one/copy", json={"name": "saved"})
        assert (made.status_code, made.json()["state"], made.json()["attachment"]) == (201, "building", None)
        lab.drain()
        assert api.get("/volumes/saved").json()["state"] == "available"
        operation = api.get(f"/operations/{made.json()['operation']['id']}").json()
        assert operation["result"]["consistency"] in ("quiesced", "crash")
        file = api.post("/volumes/one/download", json={"format": "raw"})
        assert file.status_code == 202
        assert api.get(f"/image-exports/{file.json()['export_id']}/file").status_code == 409, "it is being made"
        lab.drain()
        assert api.post("/volumes/one/download", json={"format": "exe"}).status_code == 422
        assert api.post("/volumes/nothing/copy", json={}).status_code == 404


def test_several_disks_are_detached_over_http_and_the_volume_says_by_whom_it_is_had(lab: Lab) -> None:
    with asking(lab) as api:
        assert api.get("/volumes/one").json()["attachment"]["instance"] == "web"
        body = {"disks": ["one", "vdc"], "trash": ["two"]}
        preview = api.post("/instances/web/detach?dry_run=true", json=body).json()
        assert preview["title"] == "Detach 2 disks from instance web"
        assert api.post("/instances/web/detach", json={"disks": []}).status_code == 422
        assert api.post("/instances/web/detach", json={"disks": ["vda", "vdb"]}).status_code == 409
        assert api.post("/instances/web/detach", json=body).status_code == 202
        lab.drain()
        assert states(lab) == {"web": "available", "one": "available", "two": "trashed"}
        assert [d["slot"] for d in api.get("/instances/web").json()["disks"]] == ["vda"]


# ── the panel ──


def test_the_panel_copies_a_volume_and_makes_a_file_of_it(lab: Lab, browser: Browser) -> None:  # noqa: F811
    page = browser()
    with lab.asking() as ctx:
        one = storage.get_volume(ctx, "one").id
    shown = page.get(f"/volumes/{one}").text
    assert f'href="/volumes/{one}/copy"' in shown
    assert f'href="/volumes/{one}/download"' in shown
    for verb in ("copy", "download"):
        assert page.get(f"/volumes/{one}/{verb}").status_code == 200
        said = page.post(f"/volumes/{one}/{verb}/preview", data={"name": "saved", "format": "qcow2"}, headers=HTMX)
        assert "web" in said.text
        done = page.post(f"/volumes/{one}/{verb}", data={"name": "saved", "format": "qcow2"}, headers=HTMX)
        assert done.status_code in (200, 204), done.text
        lab.drain()
        target = done.headers.get("HX-Location") or done.headers.get("HX-Redirect") or ""
        assert page.get(json.loads(target)["path"] if target.startswith("{") else target).status_code == 200
    assert states(lab)["saved"] == "available"


def test_the_panel_shows_what_moving_a_volume_does_before_it_is_moved(lab: Lab, browser: Browser) -> None:  # noqa: F811
    page = browser()
    with lab.asking() as ctx:
        one = storage.get_volume(ctx, "one").id
        path = str(ctx.settings.state_dir / "fast")
    assert "preview" not in page.get(f"/volumes/{one}/move").text, "there is nowhere to go"
    lab.do(storage.create_pool, None, name="fast", path=path)
    assert f'hx-post="/volumes/{one}/move/preview"' in page.get(f"/volumes/{one}/move").text
    for headers, said in ((HTMX, "to the pool fast"), ({**HTMX, "Accept-Language": "zh"}, "fast")):
        shown = page.post(f"/volumes/{one}/move/preview", data={"pool": "fast"}, headers=headers)
        assert said in shown.text
        assert "plan-undo" in shown.text
    assert "pool" in page.post(f"/volumes/{one}/move/preview", data={}, headers=HTMX).headers["HX-Trigger"]
    assert page.post(f"/volumes/{one}/move", data={"pool": "fast"}, headers=HTMX).status_code in (200, 204)
    lab.drain()
    assert ">fast<" in page.get(f"/volumes/{one}").text


def test_the_panel_detaches_the_ticked_disks_and_asks_what_becomes_of_each(
    lab: Lab, browser: Browser  # noqa: F811
) -> None:
    page = browser()
    ids = {a.slot: a.volume_id for a in lab.rows(Attachment)}
    instance = lab.row().id
    assert "Detach the ticked disks" in page.get(f"/instances/{instance}/disks").text
    dialog = page.get(f"/instances/{instance}/disks/detach", params={"id": [ids["vdb"], ids["vdc"]]}, headers=HTMX)
    assert "vdb one: into the trash" in dialog.text
    assert 'name="boot_disk"' not in dialog.text
    nothing = page.get(f"/instances/{instance}/disks/detach", headers=HTMX)
    assert "Which disks?" in nothing.text + str(nothing.headers)
    done = page.post(
        f"/instances/{instance}/disks/detach", data={"id": [ids["vdb"], ids["vdc"]], "trash": [ids["vdc"]]},
        headers=HTMX,
    )  # fmt: skip
    assert done.status_code in (200, 204), done.text
    lab.drain()
    assert states(lab) == {"web": "available", "one": "available", "two": "trashed"}


def test_a_stopped_machines_boot_disk_is_asked_for_with_a_box_of_its_own(
    lab: Lab, browser: Browser  # noqa: F811
) -> None:
    lab.do(service.stop, "web", timeout=0)
    ids = {a.slot: a.volume_id for a in lab.rows(Attachment)}
    page, address = browser(), f"/instances/{lab.row().id}/disks/detach"
    assert 'name="boot_disk"' in page.get(address, params={"id": [ids["vda"]]}, headers=HTMX).text
    assert page.post(address, data={"id": [ids["vda"]]}, headers=HTMX).status_code == 409
    assert page.post(address, data={"id": [ids["vda"]], "boot_disk": "true"}, headers=HTMX).status_code in (200, 204)


def test_where_a_removal_stands_is_seen_in_both_languages(lab: Lab, browser: Browser) -> None:  # noqa: F811
    lab.world.guest(lab.row().uuid, keeps_disks=True)
    lab.do(service.detach_disks, "web", service.DetachWish(["one"], timeout=1))
    page = browser()
    for language, words in (("en", "the guest has not let go yet"), ("zh", "客户机尚未放开")):
        shown = page.get(f"/instances/{lab.row().id}/disks", headers={"Accept-Language": language}).text
        assert words in shown


def test_a_reader_sees_who_has_a_volume_and_changes_nothing(lab: Lab, browser: Browser) -> None:  # noqa: F811
    page = browser(reader(lab))
    listed = page.get("/volumes").text
    assert f'/instances/{lab.row().id}/disks">web</a>' in listed
    assert "/volumes/new/upload" not in listed
    with lab.asking() as ctx:
        one = storage.get_volume(ctx, "one").id
    assert "/copy" not in page.get(f"/volumes/{one}").text
    for address in (f"/volumes/{one}/copy", f"/volumes/{one}/download", "/volumes/new/upload"):
        assert page.get(address).status_code == 403
    assert "Detach the ticked disks" not in page.get(f"/instances/{lab.row().id}/disks").text


def test_the_form_that_uploads_a_volume_opens(browser: Browser) -> None:  # noqa: F811
    shown = browser().get("/volumes/new/upload")
    assert shown.status_code == 200
    assert 'data-upload="/api/v1/image-uploads"' in shown.text
    assert 'name="purpose" value="volume"' in shown.text



# ── the command ──


def test_the_command_copies_uploads_and_detaches_and_says_who_has_what(
    lab: Lab, run: Run, tmp_path: Path  # noqa: F811
) -> None:
    assert "INSTANCE" in run("volume", "list").output
    assert [v["attachment"]["instance"] for v in parsed(run("-o", "json", "volume", "list"))] == ["web"] * 3
    assert run("--dry-run", "volume", "copy", "one", "saved").exit_code == 0
    assert "saved" not in states(lab)
    done = run("volume", "copy", "one", "saved")
    assert done.exit_code == 0, done.output
    file = tmp_path / "old.raw"
    file.write_bytes(disk(2 << 20))
    sent = run("volume", "upload", str(file), "--description", "旧磁盘")
    assert sent.exit_code == 0, sent.output
    assert states(lab)["old"] == states(lab)["saved"] == "available"
    failed = run("instance", "detach", "web", "one", "nothing")
    assert failed.exit_code != 0
    gone = run("instance", "detach", "web", "one", "vdc", "--trash", "two")
    assert gone.exit_code == 0, gone.output
    assert (states(lab)["one"], states(lab)["two"]) == ("available", "trashed")


def test_the_command_tells_of_a_guest_that_keeps_its_disk(lab: Lab, run: Run) -> None:  # noqa: F811
    lab.world.guest(lab.row().uuid, keeps_disks=True)
    failed = run("instance", "detach", "web", "one", "--timeout", "1")
    assert failed.exit_code != 0
    assert "did not let go of vdb" in failed.output + str(failed.stderr)
    shown = run("volume", "show", "one").output
    assert "the guest has not let go yet" in shown
    assert "Message(" not in shown
    assert parsed(run("-o", "json", "volume", "show", "one"))["attachment"]["removal"] == "timed_out"
