"""Raw disks: made, frozen, moved and copied; and a header that their guest writes into one is believed nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.compute.conftest import Lab
from tests.compute.test_cli import Run, parsed, run  # noqa: F401 (a fixture)
from tests.compute.test_clone import clone, files, head
from tests.compute.test_flatten import flatten
from tests.compute.test_pages import HTMX, browser  # noqa: F401 (a fixture)
from tests.compute.test_volume_copies import ask
from yun.base.errors import Invalid
from yun.base.messages import _
from yun.compute import service
from yun.images.model import Image
from yun.images.service import NewImage
from yun.operations.intent import Intent, Subject
from yun.operations.model import State as OperationState
from yun.operations.service import submit
from yun.storage import service as storage
from yun.storage.model import Head, Layer, Volume, VolumeState

GIB = 1 << 30
SECRET = "/etc/shadow"


def add(lab: Lab, *, start: bool = True, header: str = SECRET, **values: Any) -> Head:
    """The instance ``web`` with a raw disk ``data``, whose guest wrote a qcow2 header to its start."""
    lab.create(start=start)
    done = lab.operation(lab.do(service.add_disk, "web", size_bytes=GIB, name="data", format="raw", **values))
    assert done.state == OperationState.SUCCEEDED, done.error
    now = head(lab, "data")
    files(lab)[now.path].header = header
    return now


def succeeded(done: Any) -> Any:
    """It did."""
    assert done.state == OperationState.SUCCEEDED, done.error
    return done


def reconcile(lab: Lab) -> None:
    """What the periodic comparison with the disk finds is written."""
    with lab.asking() as ctx:
        submit(ctx, Intent("storage.reconcile", _("Compare"), Subject("periodic", "storage.reconcile"), quiet=True))
    lab.drain()
    assert {v.state for v in lab.rows(Volume)} == {VolumeState.AVAILABLE}
    assert {x.state for x in lab.rows(Layer)} == {"active"}


def made_of(lab: Lab, name: str, form: str, path: str) -> None:
    """The volume is a writable file of this format, standing on ``path``, and its machine is told so."""
    now = head(lab, name)
    file = files(lab)[now.path]
    assert (file.format, now.format, file.backing, file.writable) == (form, form, path, True)
    specs = [d for domain in lab.world.domains.values() for d in domain.spec.disks if d.path == now.path]
    assert {d.format for d in specs} <= {form}


@pytest.mark.parametrize("start", [True, False])
def test_a_raw_disk_is_added_and_its_machine_is_told_what_it_is(lab: Lab, start: bool) -> None:
    now = add(lab, start=start, header="")
    assert now.path.endswith(".raw")
    made_of(lab, "data", "raw", "")
    specs = [lab.domain().spec, *([lab.domain().live] if start else [])]
    assert [{d.slot: d.format for d in spec.disks}["vdb"] for spec in specs] == ["raw"] * len(specs)  # type: ignore[union-attr]
    reconcile(lab)


def test_a_volume_is_made_raw_and_the_preview_says_what_that_means(lab: Lab) -> None:
    with lab.asking() as ctx:
        for intent in (
            storage.create_volume(ctx, name="r", size_bytes=GIB, format="raw"),
            storage.create_volume(ctx, name="q", size_bytes=GIB),
        ):
            effects = " ".join(intent.render("en", now=ctx.clock.now(), undo_days=7)["effects"])
            assert ("Its file is raw" in effects) == ("a qcow2 file comes to stand on it" in effects)
            assert ("raw" in effects) == (intent.title.render("en") == "Create volume r")
            submit(ctx, intent)
        with pytest.raises(Invalid) as caught:
            storage.create_volume(ctx, name="v", size_bytes=GIB, format="vmdk")
        assert "format" in caught.value.fields
    lab.drain()
    assert {head(lab, name).format for name in "rq"} == {"raw", "qcow2"}


@pytest.mark.parametrize("start", [True, False])
def test_a_linked_clone_freezes_the_raw_file_and_both_stand_on_it(lab: Lab, start: bool) -> None:
    before = add(lab, start=start)
    succeeded(clone(lab))
    layer = next(x for x in lab.rows(Layer) if x.path == before.path)
    assert (layer.format, files(lab)[layer.path].writable) == ("raw", False)
    above = [h.volume_id for h in lab.rows(Head) if h.layer_id == layer.id]
    names = {v.name for v in lab.rows(Volume) if v.id in above}
    assert "data" in names
    assert len(names) == 2, "its own and the copy's"
    for name in names:
        made_of(lab, name, "qcow2", before.path)
    reconcile(lab)
    succeeded(clone(lab, "third"))
    succeeded(flatten(lab, "data", whole=True))
    made_of(lab, "data", "qcow2", "")
    reconcile(lab)


@pytest.mark.parametrize("start", [True, False])
def test_full_clones_copies_downloads_and_exports_take_what_is_in_it_as_it_is(lab: Lab, start: bool) -> None:
    add(lab, start=start)
    succeeded(clone(lab, "whole", full=True))
    succeeded(ask(lab, service.copy, "data", name="saved"))
    made_of(lab, "saved", "qcow2", "")
    for out in ("raw", "qcow2"):
        succeeded(ask(lab, service.download, "data", format=out))
    succeeded(lab.operation(lab.do(service.export, "web")))
    reconcile(lab)


def test_a_raw_volume_of_its_own_is_copied_downloaded_and_grown(lab: Lab) -> None:
    before = add(lab, start=False)
    succeeded(ask(lab, service.detach, "data"))
    succeeded(ask(lab, service.copy, "data", name="saved"))
    for out in ("raw", "qcow2"):
        succeeded(ask(lab, service.download, "data", format=out))
    with lab.asking() as ctx:
        grown = submit(ctx, service.grow(ctx, storage.get_volume(ctx, "data"), 2 * GIB)).id
    lab.drain()
    succeeded(lab.operation(grown))
    assert files(lab)[before.path].virtual == 2 * GIB
    made_of(lab, "data", "raw", "")
    reconcile(lab)


@pytest.mark.parametrize("start", [True, False])
def test_a_raw_disk_stays_raw_where_it_is_moved_to_and_back(lab: Lab, start: bool) -> None:
    before = add(lab, start=start)
    with lab.asking() as ctx:
        submit(ctx, storage.create_pool(ctx, name="fast", path=str(ctx.settings.state_dir / "fast")))
    lab.drain()
    moved = succeeded(ask(lab, service.move, "data", pool="fast"))
    now = head(lab, "data")
    assert "/fast/" in now.path
    made_of(lab, "data", "raw", "")
    if start:
        assert {d.slot: d.format for d in lab.domain().live.disks}["vdb"] == "raw"  # type: ignore[union-attr]
    reconcile(lab)
    succeeded(lab.operation(lab.undo(moved.id)))
    assert head(lab, "data").path == before.path
    made_of(lab, "data", "raw", "")
    reconcile(lab)


def test_an_image_is_made_of_a_raw_boot_disk_without_believing_it(lab: Lab) -> None:
    """No machine is made with a raw boot disk; one that boots from a volume that was attached may have one."""
    before = add(lab, start=False)
    succeeded(ask(lab, service.detach, "web", boot_disk=True))
    with lab.database.write() as session:
        place = storage.attachment_of(session, before.volume_id)
        assert place is not None
        place.boot_order = 1
    succeeded(lab.operation(lab.do(service.make_image, "web", new=NewImage("golden"))))
    image = next(i for i in lab.rows(Image) if i.name == "golden")
    assert image.state == "active"
    made_of(lab, "data", "qcow2", before.path)
    reconcile(lab)


def test_the_command_and_the_api_make_raw_disks_and_say_of_each_what_it_is(lab: Lab, run: Run) -> None:  # noqa: F811
    lab.create()
    run("instance", "add-disk", "web", "--size", "1G", "--name", "data", "--format", "raw")
    run("volume", "create", "mine", "--size", "1G", "--format", "raw")
    lab.drain()
    for name, form in (("data", "raw"), ("mine", "raw"), ("web", "qcow2")):
        assert head(lab, name).format == form
        assert parsed(run("-o", "json", "volume", "show", name))["format"] == form
    refused = run("volume", "create", "other", "--size", "1G", "--format", "vmdk")
    assert refused.exit_code == 2


def test_the_panel_makes_raw_disks_and_previews_them(lab: Lab, browser: Callable[..., TestClient]) -> None:  # noqa: F811
    lab.create()
    page = browser()
    base = f"/instances/{lab.row().id}/disks"
    for new, to, fields in (
        (f"{base}/new", base, {"size_bytes": "1", "bus": "virtio", "cache": "none", "discard": "true", "name": "data"}),
        ("/volumes/new", "/volumes", {"size_bytes": "1", "name": "mine"}),
    ):
        form = page.get(new)
        assert form.status_code == 200, form.text
        assert 'value="raw"' in form.text
        typed = {**fields, "format": "raw"}
        assert "Its file is raw" in page.post(f"{new}/preview", data=typed, headers=HTMX).text
        wrong = page.post(f"{new}/preview", data={**typed, "format": "vdi"}, headers=HTMX)
        assert "A disk cannot be of the format vdi." in wrong.text
        done = page.post(to, data=typed, headers=HTMX)
        assert done.status_code in (200, 202, 204), done.text
        lab.drain()
    for name in ("data", "mine"):
        shown = head(lab, name)
        assert shown.format == "raw"
        assert "<dd>raw</dd>" in page.get(f"/volumes/{shown.volume_id}").text
