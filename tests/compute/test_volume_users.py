"""Who has a volume is told by name, also after a rename; what it takes is measured, not guessed."""

from __future__ import annotations

from typing import Any

from tests.compute.conftest import Lab, both
from yun.compute import service
from yun.operations.intent import Subject
from yun.operations.service import submit, undo
from yun.storage import service as storage
from yun.storage.api import show_volumes
from yun.storage.model import Head, Volume, VolumeState

GIB = 1 << 30


def shown(lab: Lab, name: str) -> dict[str, Any]:
    """A volume as the API shows it."""
    with lab.asking() as ctx:
        return show_volumes(ctx, [storage.get_volume(ctx, name)])[0]


def measure(lab: Lab) -> None:
    """As the round does every minute."""
    lab.cloud.engine.nudge("volume.measure", Subject("periodic", "volume.measure", "volume.measure"))
    lab.drain()


@both
def test_a_volume_names_its_instance_also_after_that_is_renamed_and_the_rename_undone(lab: Lab) -> None:
    lab.create()
    lab.do(service.add_disk, "web", size_bytes=GIB, name="data")
    assert [shown(lab, name)["attachment"]["instance"] for name in ("web", "data")] == ["web", "web"]
    renamed = lab.do(service.rename, "web", "数据库")
    assert [shown(lab, name)["attachment"]["instance"] for name in ("web", "data")] == ["数据库", "数据库"]
    lab.undo(renamed)
    assert shown(lab, "data")["attachment"]["instance"] == "web"


def test_a_volume_copied_attached_and_put_back_names_the_machine_that_has_it_now(lab: Lab) -> None:
    lab.create()
    lab.do(service.add_disk, "web", size_bytes=GIB, name="data")
    lab.do(service.clone, "web", service.CloneWish(name="copy"))
    assert shown(lab, "copy")["attachment"]["instance"] == "copy"
    with lab.asking() as ctx:
        detached = submit(ctx, service.detach(ctx, storage.get_volume(ctx, "data"))).id
    lab.drain()
    assert shown(lab, "data")["attachment"] is None
    lab.do(service.rename, "web", "www")
    with lab.asking() as ctx:
        submit(ctx, undo(ctx, detached, through=True))
    lab.drain()
    assert shown(lab, "data")["attachment"]["instance"] == "web"


@both
def test_what_volumes_take_is_measured_and_leaves_their_revision_alone(lab: Lab) -> None:
    lab.create()
    lab.do(service.add_disk, "web", size_bytes=GIB, name="data")
    assert shown(lab, "data")["used_bytes"] is None, "not measured yet"
    head = next(h for h in lab.rows(Head) if h.volume_id == shown(lab, "data")["id"])
    files = lab.cloud.drivers.on("any").volume.world.files  # type: ignore[attr-defined]
    before = shown(lab, "data")
    measure(lab)
    first = shown(lab, "data")["used_bytes"]
    assert first == files[head.path].length
    files[head.path].length = 700 << 20
    measure(lab)
    after = shown(lab, "data")
    assert after["used_bytes"] == 700 << 20
    assert (after["revision"], after["updated_at"]) == (before["revision"], before["updated_at"])
    with lab.asking() as ctx:
        found = storage.list_volumes(ctx, q="used>500M instance:web", sort="-used_bytes").items
        assert [v.name for v in found] == ["data"]
        assert storage.list_volumes(ctx, q="instance=we").items == []


def test_a_pool_that_is_away_keeps_what_was_measured(lab: Lab) -> None:
    lab.create()
    measure(lab)
    taken = {v.id: v.used_bytes for v in lab.rows(Volume) if v.state == VolumeState.AVAILABLE}
    store: Any = lab.cloud.drivers.on("any").volume
    store.world.away = True
    measure(lab)
    store.world.away = False
    assert taken == {v.id: v.used_bytes for v in lab.rows(Volume)}
    assert all(taken.values())
