"""What every volume store does, run on the one in memory always and on real directories in `tests/real`."""

from __future__ import annotations

from typing import Protocol

import pytest

from yun.base.errors import DriverError, Invalid
from yun.base.units import GIB, MIB, PIB
from yun.drivers.volume.port import VolumeStore


class Room(Protocol):
    """A store with one pool, and levers for what happens behind its back."""

    store: VolumeStore
    pool: str

    def truncate(self, path: str) -> None: ...
    def write(self, path: str) -> None: ...
    def unprotect(self, path: str) -> None: ...
    def write_header(self, path: str, naming: str) -> None: ...
    def lose(self, path: str) -> None: ...
    def everything(self) -> set[str]: ...


class Stop(Exception):
    """Somebody pressed cancel."""


def quiet(_fraction: float) -> None:
    """Nobody looks at the progress."""


def layer(room: Room, name: str = "a", size: int = GIB) -> str:
    """A frozen file in the pool."""
    head, into = f"{room.pool}/heads/tmp-{name}.qcow2", f"{room.pool}/layers/{name}.qcow2"
    room.store.create_head(head, size=size, backing=None)
    room.store.freeze(head, into)
    return into


class VolumeContract:
    """The suite; a subclass brings the fixture ``room``."""

    def test_a_prepared_pool_has_space_and_preparing_it_again_is_nothing(self, room: Room) -> None:
        room.store.prepare_pool(room.pool)
        facts = room.store.pool_facts(room.pool)
        assert 0 < facts.free_bytes <= facts.capacity_bytes
        assert facts.writable
        assert room.store.list_files(room.pool) == []

    def test_what_is_no_pool_has_no_facts_and_no_files(self, room: Room) -> None:
        with pytest.raises(DriverError):
            room.store.pool_facts(room.pool + "/nowhere")
        with pytest.raises(DriverError):
            room.store.list_files(room.pool + "/nowhere")

    def test_seeds_and_files_on_their_way_are_listed_only_when_asked_for(self, room: Room) -> None:
        seed = f"{room.pool}/seeds/a.iso"
        room.store.write_seed(seed, {"meta-data": b"a"})
        base = layer(room)
        assert room.store.list_files(room.pool) == [base]
        assert room.store.list_files(room.pool, ("incoming", "seeds")) == [seed]

    @pytest.mark.parametrize("path", ["relative", "/", "/etc/yun", "/srv/../etc", "/srv/a\nb", "/srv/a,b"])
    def test_a_directory_that_cannot_be_a_pool_is_refused(self, room: Room, path: str) -> None:
        with pytest.raises(Invalid) as caught:
            room.store.prepare_pool(path)
        assert "path" in caught.value.fields

    def test_a_pool_with_files_is_not_removed_and_an_empty_one_is(self, room: Room) -> None:
        path = layer(room)
        room.store.remove_pool(room.pool)
        assert room.store.inspect(path).exists
        room.store.delete(path)
        room.store.remove_pool(room.pool)
        room.store.remove_pool(room.pool)
        with pytest.raises(DriverError):
            room.store.pool_facts(room.pool)

    def test_what_writable_files_take_is_told_at_one_look(self, room: Room) -> None:
        head, base = f"{room.pool}/heads/h.qcow2", layer(room)
        room.store.create_head(head, size=GIB, backing=base)
        taken = room.store.usage(room.pool)
        assert set(taken) == {head}, "frozen files belong to nobody alone"
        assert 0 < taken[head] < GIB
        room.store.delete(head)
        assert room.store.usage(room.pool) == {}
        with pytest.raises(DriverError):
            room.store.usage("/nowhere")

    def test_a_head_of_its_own_is_a_writable_qcow2_of_its_size(self, room: Room) -> None:
        path = f"{room.pool}/heads/a.qcow2"
        room.store.create_head(path, size=10 * GIB, backing=None)
        facts = room.store.inspect(path)
        assert (facts.exists, facts.format, facts.virtual_bytes, facts.backing) == (True, "qcow2", 10 * GIB, "")
        assert facts.writable
        assert 0 < facts.file_bytes < GIB
        assert facts.length > 0
        assert facts.mtime_ns > 0
        assert room.store.glance(path) == facts
        assert room.store.list_files(room.pool) == [path]

    def test_a_head_on_a_layer_names_it_and_making_it_again_is_nothing(self, room: Room) -> None:
        base, path = layer(room), f"{room.pool}/heads/b.qcow2"
        room.store.create_head(path, size=2 * GIB, backing=base)
        before = room.store.inspect(path)
        room.store.create_head(path, size=2 * GIB, backing=base)
        assert room.store.inspect(path) == before
        assert before.backing == base
        assert before.virtual_bytes == 2 * GIB

    def test_a_raw_head_is_sparse_and_stands_on_nothing(self, room: Room) -> None:
        path = f"{room.pool}/heads/r.raw"
        for _again in range(2):
            room.store.create_head(path, size=GIB, backing=None, format="raw")
        facts = room.store.inspect(path, "raw")
        assert (facts.format, facts.virtual_bytes, facts.backing, facts.writable) == ("raw", GIB, "", True)
        assert facts.file_bytes < MIB
        assert room.store.glance(path, "raw") == facts
        assert room.store.usage(room.pool)[path] == facts.file_bytes
        with pytest.raises(DriverError):
            room.store.create_head(path, size=GIB, backing=None)
        with pytest.raises(Invalid):
            room.store.inspect(path, "qcow2")
        with pytest.raises(Invalid):
            room.store.create_head(f"{room.pool}/heads/s.raw", size=GIB, backing=layer(room), format="raw")
        room.store.grow(path, 2 * GIB, format="raw")
        with pytest.raises(Invalid):
            room.store.grow(path, GIB, format="raw")
        assert room.store.inspect(path, "raw").virtual_bytes == 2 * GIB
        room.store.protect(path)
        with pytest.raises(DriverError):
            room.store.grow(path, 3 * GIB, format="raw")

    def test_what_a_guest_wrote_into_a_raw_head_is_never_taken_for_a_header(self, room: Room) -> None:
        path, heads = f"{room.pool}/heads/r.raw", [f"{room.pool}/heads/h{number}.qcow2" for number in range(3)]
        room.store.create_head(path, size=GIB, backing=None, format="raw")
        room.write_header(path, "/etc/hostname")
        with pytest.raises(Invalid):
            room.store.inspect(path)
        for look in (room.store.inspect, room.store.glance):
            assert (look(path, "raw").virtual_bytes, look(path, "raw").backing) == (GIB, "")
        room.store.create_head(path, size=GIB, backing=None, format="raw")
        room.store.grow(path, 2 * GIB, format="raw")
        assert room.store.measure(path, source_format="raw") > 0
        with pytest.raises(Invalid):
            room.store.create_head(heads[0], size=2 * GIB, backing=path, live=True)
        below = path
        for head in heads:
            form = "raw" if below == path else "qcow2"
            for _again in range(2):
                room.store.create_head(head, size=2 * GIB, backing=below, backing_format=form, live=True)
            room.store.protect(below)
            below = head
        assert room.store.inspect(heads[0]).backing == path
        for number, (source, told) in enumerate([(path, "raw"), (heads[2], "")]):
            target = f"{room.pool}/heads/c{number}.qcow2"
            room.store.convert(source, target, format="qcow2", progress=quiet, source_format=told)
            assert (room.store.inspect(target).virtual_bytes, room.store.inspect(target).backing) == (2 * GIB, "")
        again = f"{room.pool}/heads/c.raw"
        room.store.convert(path, again, format="raw", progress=quiet, source_format="raw")
        assert room.store.inspect(again, "raw").virtual_bytes == 2 * GIB
        room.store.flatten(heads[2], path, quiet, base_format="raw")
        assert room.store.inspect(heads[2]).backing == path
        assert room.store.measure(heads[2]) > 0
        room.store.flatten(heads[2], "", quiet)
        assert room.store.inspect(heads[2]).backing == ""

    def test_another_file_of_the_name_is_not_overwritten(self, room: Room) -> None:
        base, path = layer(room), f"{room.pool}/heads/b.qcow2"
        room.store.create_head(path, size=GIB, backing=None)
        with pytest.raises(DriverError):
            room.store.create_head(path, size=GIB, backing=base)
        assert room.store.inspect(path).backing == ""

    def test_a_head_smaller_than_its_base_is_refused(self, room: Room) -> None:
        base = layer(room)
        with pytest.raises(Invalid) as caught:
            room.store.create_head(f"{room.pool}/heads/b.qcow2", size=GIB - MIB, backing=base)
        assert "size_bytes" in caught.value.fields
        assert room.everything() == {base}

    @pytest.mark.parametrize("size", [0, -1, 10 * PIB])
    def test_an_absurd_size_is_refused(self, room: Room, size: int) -> None:
        with pytest.raises(Invalid):
            room.store.create_head(f"{room.pool}/heads/b.qcow2", size=size, backing=None)
        assert room.everything() == set()

    def test_a_base_that_is_missing_writable_or_elsewhere_is_refused(self, room: Room) -> None:
        base, path = layer(room), f"{room.pool}/heads/b.qcow2"
        room.store.create_head(f"{room.pool}/heads/w.qcow2", size=GIB, backing=None)
        for wrong in (f"{room.pool}/layers/none.qcow2", f"{room.pool}/heads/w.qcow2", "/tmp/elsewhere.qcow2"):
            with pytest.raises(DriverError):
                room.store.create_head(path, size=GIB, backing=wrong)
        room.unprotect(base)
        with pytest.raises(DriverError):
            room.store.create_head(path, size=GIB, backing=base)
        assert not room.store.inspect(path).exists

    def test_a_head_may_be_laid_on_a_live_file_and_stands_on_it_where_it_lies(self, room: Room) -> None:
        below, path = f"{room.pool}/heads/w.qcow2", f"{room.pool}/heads/b.qcow2"
        room.store.create_head(below, size=GIB, backing=None)
        for _again in range(2):
            room.store.create_head(path, size=GIB, backing=below, live=True)
        room.store.protect(below)
        facts = room.store.inspect(path)
        assert (facts.backing, facts.virtual_bytes, facts.writable) == (below, GIB, True)
        assert not room.store.inspect(below).writable
        room.store.create_head(f"{room.pool}/heads/c.qcow2", size=GIB, backing=below)
        itself = f"{room.pool}/heads/d.qcow2"
        with pytest.raises(DriverError):
            room.store.create_head(itself, size=GIB, backing=itself, live=True)

    def test_a_head_is_put_back_on_what_it_stood_on(self, room: Room) -> None:
        base, path = layer(room), f"{room.pool}/heads/b.qcow2"
        room.store.create_head(path, size=2 * GIB, backing=base)
        room.store.flatten(path, "", quiet)
        for _again in range(2):
            room.store.stand_again(path, base)
        facts = room.store.inspect(path)
        assert (facts.backing, facts.virtual_bytes, facts.writable) == (base, 2 * GIB, True)
        with pytest.raises(DriverError):
            room.store.stand_again(base, path)
        with pytest.raises(DriverError):
            room.store.stand_again(path, f"{room.pool}/layers/none.qcow2")

    def test_a_frozen_file_is_put_on_another_that_shows_the_same_and_stays_frozen(self, room: Room) -> None:
        base, path = layer(room), f"{room.pool}/heads/b.qcow2"
        room.store.create_head(path, size=2 * GIB, backing=base)
        room.store.protect(path)
        other = layer(room, "other")
        for _again in range(2):
            room.store.stand_again(path, other, frozen=True)
        facts = room.store.inspect(path)
        assert (facts.backing, facts.writable) == (other, False)

    def test_a_frozen_file_may_be_written_to_from_when_it_is_thawed_until_it_is_protected(self, room: Room) -> None:
        path = layer(room)
        for _again in range(2):
            room.store.thaw(path)
        assert room.store.glance(path).writable
        room.store.protect(path)
        assert not room.store.glance(path).writable
        with pytest.raises(DriverError):
            room.store.thaw(f"{room.pool}/layers/none.qcow2")
        raw = f"{room.pool}/heads/r.raw"
        room.store.create_head(raw, size=GIB, backing=None, format="raw")
        with pytest.raises((DriverError, Invalid)):
            room.store.thaw(raw)

    def test_a_frozen_file_takes_in_those_below_it_and_keeps_its_name(self, room: Room) -> None:
        base = layer(room)
        names = [f"{room.pool}/heads/m{number}.qcow2" for number in range(5)]
        for number, name in enumerate(names):
            # The guest was given a larger disk on the way.
            room.store.create_head(name, size=(1 + number) * GIB, backing=names[number - 1] if number else base)
            if number < 4:
                room.store.protect(name)
        with pytest.raises(DriverError):
            room.store.merge(names[1], names[2], quiet)
        with pytest.raises(DriverError):
            room.store.merge(names[3], f"{room.pool}/heads/none.qcow2", quiet)
        seen: list[float] = []
        room.store.merge(names[3], names[1], seen.append)
        facts = room.store.inspect(names[3])
        assert (facts.backing, facts.virtual_bytes, facts.writable) == (names[0], 4 * GIB, False)
        assert not room.store.glance(names[1]).exists
        assert room.store.glance(names[2]).exists, "what lies between is the caller's to remove"
        assert room.store.inspect(names[4]).backing == names[3]
        assert room.store.check(names[3]) == []
        assert all(0 <= part <= 1 for part in seen)
        room.store.merge(names[3], names[0], quiet)
        assert room.store.inspect(names[3]).backing == base

    def test_a_merge_that_is_broken_off_can_be_done_again(self, room: Room) -> None:
        base, child = layer(room), f"{room.pool}/heads/m.qcow2"
        room.store.create_head(child, size=GIB, backing=base)
        room.store.protect(child)

        def stop(_part: float) -> None:
            raise Stop

        with pytest.raises(Stop):
            room.store.merge(child, base, stop)
        assert room.store.inspect(child).backing == base
        assert not room.store.glance(base).writable
        for each in (child, base):  # as a death in the middle leaves them
            room.store.thaw(each)
        room.store.merge(child, base, quiet)
        facts = room.store.inspect(child)
        assert (facts.backing, facts.writable) == ("", False)

    def test_a_head_is_unwritten_until_its_guest_writes(self, room: Room) -> None:
        base, path = layer(room), f"{room.pool}/heads/b.qcow2"
        room.store.create_head(path, size=GIB, backing=base)
        assert room.store.unwritten(path)
        room.write(path)
        assert not room.store.unwritten(path)

    def test_what_stands_on_nothing_or_is_not_there_is_not_unwritten(self, room: Room) -> None:
        path = f"{room.pool}/heads/b.qcow2"
        assert not room.store.unwritten(path)
        room.store.create_head(path, size=GIB, backing=None)
        assert not room.store.unwritten(path)

    def test_a_head_on_sixty_files_is_flattened_down_to_a_base_and_then_to_nothing(self, room: Room) -> None:
        base, path = layer(room), ""
        below = base
        for number in range(60):
            path = f"{room.pool}/heads/h{number}.qcow2"
            room.store.create_head(path, size=2 * GIB, backing=below)
            if number < 59:
                room.store.protect(path)
            below = path
        seen: list[float] = []
        for _again in range(2):
            room.store.flatten(path, base, seen.append)
        assert room.store.inspect(path).backing == base
        assert room.store.check(path) == []
        room.store.flatten(path, "", seen.append)
        facts = room.store.inspect(path)
        assert (facts.backing, facts.virtual_bytes, facts.writable) == ("", 2 * GIB, True)
        assert all(0 <= part <= 1 for part in seen)
        with pytest.raises(DriverError):
            room.store.flatten(f"{room.pool}/heads/h3.qcow2", "", seen.append)

    @pytest.mark.parametrize("name", ["../escape.qcow2", "heads/sub/x.qcow2", "other/x.qcow2", "x.qcow2"])
    def test_nothing_is_written_or_deleted_outside_of_the_pools_directories(self, room: Room, name: str) -> None:
        path = f"{room.pool}/{name}"
        with pytest.raises(DriverError):
            room.store.create_head(path, size=GIB, backing=None)
        with pytest.raises(DriverError):
            room.store.delete(path)
        with pytest.raises(DriverError):
            room.store.write_seed(path, {"meta-data": b""})

    def test_a_frozen_file_is_read_only_and_freezing_again_is_nothing(self, room: Room) -> None:
        head, into = f"{room.pool}/heads/x.qcow2", f"{room.pool}/layers/x.qcow2"
        room.store.create_head(head, size=GIB, backing=None)
        digest = room.store.digest(head, quiet)
        room.store.freeze(head, into)
        room.store.freeze(head, into)
        assert not room.store.inspect(into).writable
        assert not room.store.inspect(head).exists
        assert room.store.digest(into, quiet) == digest
        assert len(digest) == 64

    def test_freezing_into_a_name_that_is_there_drops_the_newcomer(self, room: Room) -> None:
        into, again = layer(room), f"{room.pool}/heads/again.qcow2"
        room.store.create_head(again, size=GIB, backing=None)
        room.store.freeze(again, into)
        assert room.everything() == {into}

    def test_freezing_what_is_nowhere_is_an_error(self, room: Room) -> None:
        with pytest.raises(DriverError):
            room.store.freeze(f"{room.pool}/heads/none.qcow2", f"{room.pool}/layers/none.qcow2")

    def test_a_frozen_file_that_became_writable_is_protected_again(self, room: Room) -> None:
        path = layer(room)
        room.unprotect(path)
        assert room.store.inspect(path).writable
        room.store.protect(path)
        assert not room.store.inspect(path).writable

    def test_a_frozen_file_is_neither_grown_nor_written_over(self, room: Room) -> None:
        base, other = layer(room, "a"), layer(room, "b", 2 * GIB)
        digest = room.store.digest(base, quiet)
        with pytest.raises(DriverError):
            room.store.grow(base, 2 * GIB)
        with pytest.raises(DriverError):
            room.store.convert(other, base, format="qcow2", progress=quiet)
        assert room.store.digest(base, quiet) == digest

    def test_a_head_grows_and_never_shrinks(self, room: Room) -> None:
        path = f"{room.pool}/heads/a.qcow2"
        room.store.create_head(path, size=GIB, backing=None)
        room.store.grow(path, 3 * GIB)
        room.store.grow(path, 3 * GIB)
        assert room.store.inspect(path).virtual_bytes == 3 * GIB
        for wrong in (2 * GIB, 0, -GIB, 10 * PIB):
            with pytest.raises(Invalid):
                room.store.grow(path, wrong)
        assert room.store.inspect(path).virtual_bytes == 3 * GIB

    def test_a_copy_stands_on_nothing_and_has_the_size_of_its_source(self, room: Room) -> None:
        base, head, copy = layer(room), f"{room.pool}/heads/b.qcow2", f"{room.pool}/incoming/c.qcow2"
        room.store.create_head(head, size=2 * GIB, backing=base)
        seen: list[float] = []
        room.store.convert(head, copy, format="qcow2", progress=seen.append)
        room.store.convert(head, copy, format="qcow2", progress=seen.append)
        facts = room.store.inspect(copy)
        assert (facts.format, facts.virtual_bytes, facts.backing) == ("qcow2", 2 * GIB, "")
        assert seen
        assert all(0 <= f <= 1 for f in seen)
        assert 0 < room.store.measure(head) < GIB

    def test_a_cancelled_copy_leaves_nothing(self, room: Room) -> None:
        base, copy = layer(room), f"{room.pool}/incoming/c.qcow2"

        def stop(_fraction: float) -> None:
            raise Stop

        with pytest.raises(Stop):
            room.store.convert(base, copy, format="qcow2", progress=stop)
        assert room.everything() == {base}

    def test_a_cancelled_digest_stops(self, room: Room) -> None:
        base = layer(room)

        def stop(_fraction: float) -> None:
            raise Stop

        with pytest.raises(Stop):
            room.store.digest(base, stop)

    def test_a_missing_file_is_missing_everywhere(self, room: Room) -> None:
        base = layer(room)
        room.lose(base)
        assert not room.store.inspect(base).exists
        for call in (
            lambda: room.store.digest(base, quiet),
            lambda: room.store.measure(base),
            lambda: room.store.protect(base),
            lambda: room.store.convert(base, f"{room.pool}/incoming/c.qcow2", format="qcow2", progress=quiet),
            lambda: room.store.grow(f"{room.pool}/heads/none.qcow2", GIB),
        ):
            with pytest.raises(DriverError):
                call()
        room.store.delete(base)
        assert room.everything() == set()

    def test_a_truncated_file_is_found_out(self, room: Room) -> None:
        base = layer(room)
        assert room.store.check(base) == []
        before = room.store.inspect(base).length
        room.truncate(base)
        try:
            after = room.store.inspect(base).length
        except Invalid:
            after = -1
        assert after != before
        assert room.store.check(base)

    def test_a_copy_of_a_head_whose_base_is_gone_fails_and_leaves_nothing(self, room: Room) -> None:
        base, head = layer(room), f"{room.pool}/heads/b.qcow2"
        room.store.create_head(head, size=GIB, backing=base)
        room.lose(base)
        with pytest.raises(DriverError):
            room.store.convert(head, f"{room.pool}/incoming/c.qcow2", format="qcow2", progress=quiet)
        assert room.everything() == {head}

    def test_a_seed_is_an_iso_and_is_replaced_by_a_newer_one(self, room: Room) -> None:
        path = f"{room.pool}/seeds/s.iso"
        room.store.write_seed(path, {"meta-data": b"instance-id: a\n", "user-data": b"#cloud-config\n"})
        first = room.store.digest(path, quiet)
        room.store.write_seed(path, {"meta-data": b"instance-id: b\n", "user-data": b"x" * MIB})
        assert room.store.digest(path, quiet) != first
        room.store.delete(path)
        room.store.delete(path)
        assert not room.store.inspect(path).exists

    def test_a_disk_goes_out_as_vmdk_and_into_a_tar_that_eats_it(self, room: Room) -> None:
        source, part, target = layer(room), f"{room.pool}/incoming/a.0", f"{room.pool}/incoming/a.ova"
        room.store.convert(source, part, format="vmdk", progress=quiet)
        facts = room.store.inspect(part)
        assert (facts.format, facts.virtual_bytes) == ("vmdk", GIB)
        length = room.store.bundle(target, [("a.ovf", b"text"), ("a.vmdk", part)], quiet)
        assert length > facts.length
        assert room.store.list_files(room.pool, ("incoming",)) == [target]
        assert len(room.store.digest(target, quiet)) == 64
        room.store.delete(target)

    def test_a_tar_that_is_stopped_or_lacks_a_file_is_not_there(self, room: Room) -> None:
        target = f"{room.pool}/incoming/a.ova"

        def stop(_fraction: float) -> None:
            raise Stop

        with pytest.raises(Stop):
            room.store.bundle(target, [("a.ovf", b"text")], stop)
        with pytest.raises(DriverError):
            room.store.bundle(target, [("a", f"{room.pool}/incoming/missing")], quiet)
        with pytest.raises(DriverError):
            room.store.bundle("/var/tmp/elsewhere.ova", [("a", b"")], quiet)
        assert room.store.list_files(room.pool, ("incoming",)) == []
