"""Written once for all rooms: every operation dies at every commit, runs every step twice, is done and undone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from tests.house.scenes_adopt import SCENES as ADOPTIONS
from tests.house.scenes_balancers import MORE as BALANCERS_MORE
from tests.house.scenes_balancers import SCENES as BALANCERS
from tests.house.scenes_boot import MORE as BOOTS_MORE
from tests.house.scenes_boot import SCENES as BOOTS
from tests.house.scenes_chains import MORE as CHAINS_MORE
from tests.house.scenes_chains import SCENES as CHAINS
from tests.house.scenes_clone import MORE as CLONES_MORE
from tests.house.scenes_clone import SCENES as CLONES
from tests.house.scenes_devices import MORE as DEVICES_MORE
from tests.house.scenes_devices import SCENES as DEVICES
from tests.house.scenes_disks import MORE as DISKS_MORE
from tests.house.scenes_disks import SCENES as DISKS
from tests.house.scenes_functions import MORE as FUNCTIONS_MORE
from tests.house.scenes_functions import SCENES as FUNCTIONS
from tests.house.scenes_groups import SCENES as GROUPS
from tests.house.scenes_media import MORE as MEDIA_MORE
from tests.house.scenes_media import SCENES as MEDIA
from tests.house.scenes_networks import MORE as NETWORKS_MORE
from tests.house.scenes_networks import SCENES as NETWORKS
from tests.house.scenes_nics import MORE as NICS_MORE
from tests.house.scenes_nics import SCENES as NICS
from tests.house.scenes_ports import MORE as PORTS_MORE
from tests.house.scenes_ports import SCENES as PORTS
from tests.house.scenes_routers import MORE as ROUTERS_MORE
from tests.house.scenes_routers import SCENES as ROUTERS
from tests.house.scenes_snapshots import MORE as SNAPSHOTS_MORE
from tests.house.scenes_snapshots import SCENES as SNAPSHOTS
from tests.house.scenes_tags import SCENES as TAGS
from tests.house.scenes_volumes import MORE as VOLUMES_MORE
from tests.house.scenes_volumes import SCENES as VOLUMES
from tests.house.story import SCENES as STORIES
from tests.house.story import Scene, Story
from yun.base.config import Settings
from yun.operations import journal
from yun.operations import service as operations
from yun.operations.flow import REGISTRY
from yun.operations.model import OperationKey, State
from yun.operations.opposites import OPPOSITES
from yun.rooms import furniture

SCENES = {
    **STORIES, **ADOPTIONS, **CLONES, **NICS, **DISKS, **MEDIA, **BOOTS, **TAGS, **VOLUMES, **DEVICES,
    **NETWORKS, **BALANCERS, **PORTS, **GROUPS, **ROUTERS, **CHAINS, **FUNCTIONS, **SNAPSHOTS,
}  # fmt: skip
MORE = {
    **CLONES_MORE, **DISKS_MORE, **NICS_MORE, **MEDIA_MORE, **BOOTS_MORE, **VOLUMES_MORE, **DEVICES_MORE,
    **NETWORKS_MORE, **BALANCERS_MORE, **PORTS_MORE, **ROUTERS_MORE, **CHAINS_MORE, **FUNCTIONS_MORE,
    **SNAPSHOTS_MORE,
}  # fmt: skip
EXEMPT = {
    "operation.undo": "its own tests, in tests/operations/test_undo.py",
    "operation.prune": "forgets history; tests/operations/test_undo.py",
    "host.tend": "looks and writes what it saw", "host.start_service": "tests/real/test_host.py",
    "instance.tend": "looks and writes what it saw; tests/compute", "instance.tend_all": "asks for tends",
    "instance.learn_guest": "asks and writes what it was told; tests/compute/test_guest.py",
    "instance.learn_guests": "asks all guests", "host.find_machines": "looks and writes what it saw",
    "host.find_devices": "looks and writes what it saw; tests/compute/test_host_devices.py",
    "instance.thaw_due": "thaws what is due; tests/compute/test_guest_freeze.py",
    "instance.run": "runs at most once, so a death may end it failed; tests/compute/test_guest_run.py",
    "instance.sample": "measures", "instance.purge_due": "asks for purges",
    "layer.merge_due": "asks for merges; tests/compute/test_merge.py",
    "volume.flatten_due": "asks for flattenings; tests/compute/test_flatten.py",
    "network.ensure_default": "every scene begins with it", "network.reconcile": "tests/network",
    "load_balancer.tend": "looks and writes what it saw; tests/network/test_balancers.py",
    "function.tend": "looks and writes what it saw; tests/functions",
    "function.follow": "brings a guest in line; tests/functions",
    "snapshot.tend": "asks for purges; tests/snapshots",
    "network.tend": "looks and writes what it saw", "port.sample": "measures",
    "capture.tend": "looks and writes what it saw; tests/network/test_captures.py",
    "security_group.read_log": "reads what hosts noted; tests/network/test_hits.py",
    "pool.tend": "looks and writes what it saw", "volume.measure": "looks and writes what it saw",
    "storage.reconcile": "tests/storage",
    "trash.purge_expired": "asks for purges", "profile.set_password": "needs the person's own session; tests/identity",
    "instance.import": "tests/compute/test_appliances.py",
    "volume.upload": "tests/images/test_volume_uploads.py",
    "image.import": "tests/images", "image.pull": "tests/images", "image.build": "tests/images",
    "image.export": "tests/images", "image.tidy": "tests/images", "image.purge": "tests/images",
}  # fmt: skip


TOMBSTONES = {"flavor": "'deleted'", "project": "a moment"}


class Died(BaseException):
    """The process is gone."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path, fake=True)


@pytest.fixture
def story(first_day: Story, tmp_path: Path) -> Iterator[Story]:
    made = first_day.copy(tmp_path)
    yield made
    made.cloud.database.close()


def set_up(story: Story, scene: Scene) -> None:
    for ask in scene.first:
        done = story.do(ask)
        assert done.state == State.SUCCEEDED, done.error


def scenes() -> list[Any]:
    return [pytest.param(kind, scene, id=kind) for kind, scene in {**SCENES, **MORE}.items()]


@pytest.mark.parametrize(("kind", "scene"), scenes())
def test_every_operation_succeeds_and_its_undo_leaves_the_cloud_as_before(
    kind: str, scene: Scene, story: Story
) -> None:
    set_up(story, scene)
    before = story.picture()
    done = story.do(scene.ask)
    kind = kind.partition(" ")[0]  # further scenes of a kind say after it what they are
    assert done.kind == kind
    assert done.state == State.SUCCEEDED, done.error
    assert not scene.undoable or story.picture() != before, "it changed nothing"
    assert done.undoable == scene.undoable
    if not scene.undoable:
        assert done.no_undo is not None
        return
    after = story.picture()
    undone = story.do(lambda ctx: operations.undo(ctx, done.id))
    assert undone.state == State.SUCCEEDED, undone.error
    assert story.find(done.id).state == State.UNDONE
    if kind in OPPOSITES:
        again = story.do(lambda ctx: operations.undo(ctx, undone.id))
        assert again.state == State.SUCCEEDED, again.error
        assert story.find(done.id).state == State.SUCCEEDED, "what was taken back stands again"
        assert scene.grows or not differences(after, story.picture()), "nothing that it had come to hold was lost"
        return
    assert not differences(before, story.picture())


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What is only before (-) or only after (+); tombstones, which keep names from being reused, apart."""
    found = []
    for table, rows in before["rows"].items():
        later = after["rows"][table]
        found += [f"- {table} {row}" for row in rows if row not in later]
        found += [f"+ {table} {row}" for row in later if row not in rows and not tombstone(table, row)]
    for world, things in before["worlds"].items():
        if things != after["worlds"][world]:
            found.append(f"{world}: {things} is now {after['worlds'][world]}")
    return found


def tombstone(table: str, row: Any) -> bool:
    """A row that only remembers that something was there."""
    return table in TOMBSTONES and any(TOMBSTONES[table] in cell for cell in row)


@pytest.mark.parametrize(("kind", "scene"), scenes())
def test_a_death_at_every_commit_of_every_operation_ends_like_none(
    kind: str, scene: Scene, story: Story, tmp_path: Path
) -> None:
    set_up(story, scene)
    identifier = story.ask(scene.ask)
    deaths = story.deaths(tmp_path)
    expected = story.picture()
    assert story.find(identifier).state == State.SUCCEEDED
    assert deaths
    for nth, heir in enumerate(deaths, 1):
        heir.take_over()
        heir.cloud.engine.drain()
        ended = heir.find(identifier)
        assert ended.state == State.SUCCEEDED, (nth, ended.state, ended.error)
        with heir.cloud.database.read() as session:
            assert session.scalar(sa.select(sa.func.count()).select_from(OperationKey)) == 0
        assert not differences(expected, heir.picture()), f"dying at commit {nth} ended differently"
        heir.cloud.database.close()


def folder_of(settings: Settings, nth: int) -> Path:
    """A folder for one more copy of the cloud."""
    folder = settings.state_dir / f"copy{nth}"
    folder.mkdir()
    return folder


def dies(story: Story, nth: int) -> bool:
    """Run until the ``nth`` commit; whether there were so many."""
    left = [nth]

    def strike(_connection: sa.Connection) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Died

    event.listen(story.cloud.database.engine, "commit", strike)
    try:
        story.cloud.engine.drain()
    except Died:
        return True
    finally:
        event.remove(story.cloud.database.engine, "commit", strike)
    return False


@pytest.fixture
def twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step that is not one transaction runs twice, like one whose answer was lost, and so does its undo."""

    def doubled(call: Any) -> Any:
        def run(op: Any, *args: Any) -> Any:
            call(op, *args)
            return call(op, *args)

        return run

    made = {name: step for name, step in REGISTRY.steps.items() if not step.transactional}
    for name, step in made.items():
        undo = doubled(step.undo) if step.undo else None
        monkeypatch.setitem(REGISTRY.steps, name, replace(step, call=doubled(step.call), undo=undo))
    walk = journal.Journal.walk

    def walk_twice(self: Any, op: Any, position: int, step: Any, args: Any, **how: Any) -> Any:
        return walk(self, op, position, REGISTRY.steps[step.name], args, **how)

    monkeypatch.setattr(journal.Journal, "walk", walk_twice)


@pytest.mark.parametrize(("kind", "scene"), scenes())
@pytest.mark.usefixtures("twice")
def test_every_step_and_every_undo_may_run_twice(kind: str, scene: Scene, story: Story) -> None:
    set_up(story, scene)
    before = story.picture()
    done = story.do(scene.ask)
    assert done.state == State.SUCCEEDED, done.error
    if not done.undoable:
        return
    undone = story.do(lambda ctx: operations.undo(ctx, done.id))
    assert undone.state == State.SUCCEEDED, undone.error
    if kind.partition(" ")[0] not in OPPOSITES:
        assert not differences(before, story.picture())


def test_every_kind_of_operation_is_in_these_tests_or_says_why_not() -> None:
    furniture("flows")
    kinds = {k for k, recipe in REGISTRY.recipes.items() if recipe.call.__module__.startswith("yun.")}
    missing = kinds - set(SCENES) - set(EXEMPT)
    assert not missing, sorted(missing)
