"""Placement says where an instance fits, and in so many words why not."""

from __future__ import annotations

import pytest

from yun.hosts import placement
from yun.hosts.model import Host, state_of


def host(name: str, memory_mib: int = 4096, cpus: int = 2, **more: object) -> Host:
    values = {
        "state": "up", "accepts": True, "reserved_mib": 0, "cpu_overcommit": 2.0, "memory_overcommit": 1.0, **more,
    }  # fmt: skip
    return Host(id="hst_" + name, name=name, memory_mib=memory_mib, cpus=cpus, **values)


def test_the_host_with_most_memory_left_is_chosen() -> None:
    rooms = [placement.room_of(host("a"), 0, 3000), placement.room_of(host("b"), 0, 1000)]
    chosen = placement.best(rooms, vcpus=1, memory_mib=512)
    assert chosen is not None
    assert chosen.host.name == "b"


def test_a_healthy_host_comes_before_a_degraded_one() -> None:
    rooms = [placement.room_of(host("a", state="degraded"), 0, 0), placement.room_of(host("b"), 0, 2000)]
    chosen = placement.best(rooms, vcpus=1, memory_mib=512)
    assert chosen is not None
    assert chosen.host.name == "b"


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (host("node3", 2048), "node3: 1.9 GiB of memory short"),
        (host("node4", state="down"), "node4: its virtual machine service does not run"),
        (host("node5", accepts=False), "node5: it takes no new instances"),
        (host("node6", 65536, 1), "node6: 2 vCPU short"),
    ],
)
def test_a_refusal_names_host_and_shortage(made: Host, text: str) -> None:
    refused = placement.refusal(placement.room_of(made, 0, 0), vcpus=4, memory_mib=3994)
    assert refused is not None
    assert refused.render() == text


def test_reserve_and_overcommit_shape_the_room() -> None:
    room = placement.room_of(host("a", 4096, 2, reserved_mib=96, memory_overcommit=1.5), 3, 1000)
    assert (room.memory_mib, room.vcpus) == (5000, 1)


def test_the_nearest_size_that_fits_is_offered() -> None:
    rooms = [placement.room_of(host("a", 2048), 0, 0), placement.room_of(host("b", state="down"), 0, 0)]
    assert placement.nearest(rooms, vcpus=1, memory_mib=9999).render() == (
        "At most 2 GiB of memory and 4 vCPU fit now, on a."
    )


def test_a_full_cloud_is_told_what_helps() -> None:
    text = placement.nearest([placement.room_of(host("a", 2048), 0, 2048)], vcpus=1, memory_mib=1).render()
    assert "overcommit" in text


@pytest.mark.parametrize(
    ("services", "state"),
    [
        ({"libvirt": "running", "openvswitch": "running"}, "up"),
        ({"libvirt": "running", "openvswitch": "unresponsive"}, "degraded"),
        ({"libvirt": "unresponsive", "openvswitch": "running"}, "down"),
        ({}, "down"),
    ],
)
def test_a_hosts_state_follows_its_services(services: dict[str, str], state: str) -> None:
    assert state_of(services) == state
