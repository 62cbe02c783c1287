"""Merging on real files and real libvirt: while a machine runs and while it is off, the disk full, QEMU killed.

Machines boot nothing: what a guest would write is written by QEMU itself. Whatever ended the merge, the disk and every
snapshot show the same to the byte.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from typing import Any

import libvirt
import pytest
import sqlalchemy as sa

from tests.drivers.hypervisor.contract import until
from tests.real.hypervisor_room import LibvirtRoom
from tests.real.test_copies_broken import Place, ground, place, start  # noqa: F401 (fixtures)
from yun.base.errors import DriverError
from yun.base.messages import _
from yun.base.units import MIB
from yun.compute import service
from yun.drivers.hypervisor.libvirt import pulling
from yun.drivers.hypervisor.libvirt.boots import ask
from yun.drivers.hypervisor.port import DiskSpec, Power
from yun.operations.intent import Intent, Subject
from yun.operations.model import Notice, State
from yun.operations.service import submit
from yun.storage import service as storage
from yun.storage.model import Layer, LayerHold, LayerState
from yun.storage.service.freezing import DEEPEST

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]
running = pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])


def write(place: Place, number: int) -> None:  # noqa: F811
    """The guest of ``web`` writes 2 MiB that lie half over what it wrote the last time."""
    words = f"write -P {number + 1} {number}M 2M"
    uuid = place.lab.row().uuid
    if place.room.driver.state(uuid).power is not Power.RUNNING:
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", words, place.head("web").path], check=True, capture_output=True)
        return
    connection = libvirt.open(place.room.uri)
    try:
        domain = connection.lookupByUUIDString(uuid)
        path = place.head("web").path
        blocks = [b for b in ask(domain, "query-block") if "inserted" in b]
        name = next(b["qdev"] for b in blocks if b["inserted"]["image"]["filename"] == path)
        for each in (words, "flush"):  # what is in its memory alone is not seen from outside
            said = ask(domain, "human-monitor-command", **{"command-line": f'qemu-io -d {name} "{each}"'})
            assert not said, said
    finally:
        connection.close()


def node(place: Place, number: int) -> str:  # noqa: F811
    """Write, and freeze the disk as a snapshot does; the layer, which ``snapshot:<number>`` holds."""
    write(place, number)
    wish = service.CloneWish(f"x{number}", start=False)
    done = place.ask(lambda ctx: service.clone(ctx, service.get(ctx, "web"), wish))
    assert done.state == State.SUCCEEDED, done.error
    frozen = str(place.head("web").layer_id)
    with place.lab.database.write() as session:
        storage.hold(session, frozen, f"snapshot:{number}")
    for verb in (service.delete, service.purge):
        place.ask(lambda ctx, verb=verb: verb(ctx, service.get(ctx, f"x{number}")))
    return frozen


def drop(place: Place, *layer_ids: str) -> None:  # noqa: F811
    """Their snapshots are deleted."""
    with place.lab.database.write() as session:
        session.execute(sa.delete(LayerHold).where(LayerHold.layer_id.in_(layer_ids)))


def look(place: Place, kind: str) -> None:  # noqa: F811
    """What a periodic look orders is done."""
    with place.lab.asking() as ctx:
        submit(ctx, Intent(kind, _("Look"), Subject("periodic", kind), quiet=True))
    place.lab.drain()


def merge(place: Place, rounds: int = 4) -> None:  # noqa: F811
    """What is due is merged."""
    for _round in range(rounds):
        look(place, "layer.merge_due")


def shown(place: Place, *layer_ids: str) -> list[str]:  # noqa: F811
    """The SHA-256 of what the layers show, and of what the guest sees."""
    out = place.home / "look.raw"
    with place.lab.database.read() as session:
        paths = [session.get_one(Layer, each).path for each in layer_ids]
    found = []
    for path in (*paths, place.head("web").path):
        subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", path, str(out)], check=True)
        found.append(hashlib.sha256(out.read_bytes()).hexdigest())
    return found


def agrees(place: Place) -> None:  # noqa: F811
    """Every layer's file is there, sound, read-only and as its row says; there are no others; nothing is spoilt."""
    layers = place.lab.rows(Layer)
    paths = {layer.id: layer.path for layer in layers}
    for layer in layers:
        facts = place.store.inspect(layer.path)
        assert layer.state == LayerState.ACTIVE
        assert facts.backing == (paths[layer.parent_id] if layer.parent_id else "")
        assert (facts.length, facts.mtime_ns, facts.writable) == (layer.length, layer.mtime_ns, False)
        assert place.store.check(layer.path) == []
    assert place.files() == {*paths.values(), place.head("web").path}
    look(place, "storage.reconcile")
    assert {layer.state for layer in place.lab.rows(Layer)} <= {LayerState.ACTIVE}
    assert not [n for n in place.lab.rows(Notice) if n.key.startswith(("layer:", "volume:"))]


def restart(place: Place) -> None:  # noqa: F811
    """Cut its power and start it again: it reads the files anew."""
    look(place, "instance.tend_all")
    if place.room.driver.state(place.lab.row().uuid).power is Power.RUNNING:
        place.ask(lambda ctx: service.stop(ctx, service.get(ctx, "web"), force=True))
    start(place)


@running
def test_snapshots_in_the_middle_are_dropped_and_all_others_show_the_same_to_the_byte(
    place: Place, running: bool  # noqa: F811
) -> None:
    start(place)
    nodes = [node(place, number) for number in range(6)]
    write(place, 6)
    if not running:
        place.ask(lambda ctx: service.stop(ctx, service.get(ctx, "web"), force=True))
    kept = [nodes[0], nodes[3], nodes[5]]
    before, files = shown(place, *kept), len(place.files())
    space = sum(os.stat(path).st_blocks for path in place.files())
    merge(place)
    assert len(place.files()) == files == 7, "all are held"
    drop(place, nodes[1], nodes[2], nodes[4])
    merge(place)
    assert len(place.files()) == 4
    assert {layer.id for layer in place.lab.rows(Layer)} == set(kept)
    assert shown(place, *kept) == before
    assert sum(os.stat(path).st_blocks for path in place.files()) <= space - 3 * MIB // 512, "what was overwritten"
    agrees(place)
    if running:
        assert place.plugged("web") == place.head("web").path
        write(place, 7)
        before = shown(place, *kept)
    restart(place)
    assert shown(place, *kept) == before
    drop(place, *kept)
    before = shown(place)
    merge(place)
    assert place.files() == {place.head("web").path}, "nobody needs any of them"
    assert shown(place) == before


def in_the_middle(monkeypatch: pytest.MonkeyPatch, then: Callable[[], None]) -> list[str]:
    """Merges under running machines take seconds, and something happens once in the middle of the next one."""
    happened: list[str] = []
    calm = pulling.state

    def commit(domain: Any, slot: str, top: str, base: str) -> None:
        if state(domain, slot) is None:
            domain.blockCommit(slot, base, top, MIB // 2, libvirt.VIR_DOMAIN_BLOCK_COMMIT_BANDWIDTH_BYTES)

    def state(domain: Any, slot: str) -> float | None:
        now = calm(domain, slot)
        if now is not None and not happened:
            happened.append(slot)
            then()
        return now

    monkeypatch.setattr(pulling, "commit", commit)
    monkeypatch.setattr(pulling, "state", state)
    return happened


def test_qemu_killed_in_the_middle_of_a_merge_loses_nothing_and_it_is_done_without_it(
    place: Place, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    start(place)
    nodes = [node(place, number) for number in range(4)]
    before = shown(place, *nodes[1:])
    uuid = place.lab.row().uuid
    drop(place, nodes[0])

    def kill() -> None:
        place.room.crash(uuid)
        until(lambda: place.room.driver.state(uuid).power is not Power.RUNNING)

    assert not in_the_middle(monkeypatch, kill)
    merge(place, 1)
    monkeypatch.undo()
    assert shown(place, *nodes[1:]) == before
    merge(place, 1)
    assert {layer.id for layer in place.lab.rows(Layer)} == set(nodes[1:])
    assert shown(place, *nodes[1:]) == before
    agrees(place)
    restart(place)
    assert shown(place, *nodes[1:]) == before


@pytest.mark.parametrize("fails", [True, False], ids=["taken back", "goes on"])
def test_qemu_killed_before_the_merged_file_is_known_to_be_on_the_disk(
    place: Place, monkeypatch: pytest.MonkeyPatch, fails: bool  # noqa: F811
) -> None:
    start(place)
    nodes = [node(place, number) for number in range(3)]
    before = shown(place, *nodes[1:])
    uuid = place.lab.row().uuid
    drop(place, nodes[0])

    def kill(_domain: Any, _slot: str) -> None:
        place.room.crash(uuid)
        until(lambda: place.room.driver.state(uuid).power is not Power.RUNNING)
        raise DriverError(_("It is gone."), retryable=not fails)

    monkeypatch.setattr(pulling, "flush", kill)
    merge(place, 1)
    assert shown(place, *nodes[1:]) == before
    agrees(place)
    assert len(place.lab.rows(Layer)) == (3 if fails else 2)


@running
def test_a_disk_that_runs_full_under_a_merge_leaves_all_as_it_was_and_it_is_done_once_there_is_room(
    place: Place, monkeypatch: pytest.MonkeyPatch, running: bool  # noqa: F811
) -> None:
    start(place)
    nodes = [node(place, number) for number in range(4)]
    if not running:
        place.ask(lambda ctx: service.stop(ctx, service.get(ctx, "web"), force=True))
    before = shown(place, nodes[0], *nodes[2:])
    drop(place, nodes[1])
    if running:
        in_the_middle(monkeypatch, lambda: place.fill(free=0))
    else:
        merges = place.store.merge

        def full(*words: Any) -> None:
            place.fill(free=0)
            merges(*words)

        monkeypatch.setattr(place.store, "merge", full)
    merge(place, 1)
    monkeypatch.undo()
    assert len(place.lab.rows(Layer)) == 4
    assert [n for n in place.lab.rows(Notice) if n.key.startswith("merge:")]
    assert shown(place, nodes[0], *nodes[2:]) == before
    place.empty()
    agrees(place)
    with place.lab.database.write() as session:
        session.execute(sa.delete(Notice))  # an hour later
    merge(place, 1)
    assert len(place.lab.rows(Layer)) == 3
    assert shown(place, nodes[0], *nodes[2:]) == before
    agrees(place)


def test_a_chain_as_long_as_can_be_is_attached_and_pulled_and_a_longer_one_is_refused() -> None:
    room = LibvirtRoom()
    try:
        base = top = room.blank_disk(16 * MIB)
        uuid = room.machine(running=True)
        for number in range(200):
            words = f"write -P {number + 1} {number % 16}M 64k"
            subprocess.run(["qemu-io", "-f", "qcow2", "-c", words, top], check=True, capture_output=True)
            top = room.head_on(top, 16 * MIB)
            if number + 1 == DEEPEST + 1:
                attached = top
        with pytest.raises(DriverError):
            room.driver.attach_disk(uuid, DiskSpec("vdc", top))
        room.driver.attach_disk(uuid, DiskSpec("vdb", attached))
        room.driver.begin_pull(uuid, "vdb", base)
        until(lambda: room.driver.pull_state(uuid, "vdb") is None, 60)
        assert room.backing_of(attached) == base
        room.driver.flush_disk(uuid, "vdb")
        for number in range(DEEPEST - 14, DEEPEST + 2):
            asked = ["qemu-io", "-U", "-r", "-f", "qcow2", "-c", f"read -P {number + 1} {number % 16}M 64k", attached]
            subprocess.run(asked, check=True, capture_output=True)
    finally:
        room.close()
