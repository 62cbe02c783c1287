"""A cloud's first minutes: what it makes outside itself carries its id, which stays the same for ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from yun.base.config import Settings
from yun.drivers.network.fake import FakeNetworkEngine, World
from yun.drivers.network.port import NetworkSpec
from yun.first import claim, known_cloud, prepare
from yun.worker import Cloud, build, fake_drivers


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = build(Settings(state_dir=tmp_path, fake=True), fake_drivers())
    made.database.create()
    yield made
    made.database.close()


def test_a_claimed_cloud_marks_its_networks_and_keeps_its_id(cloud: Cloud) -> None:
    prepare(cloud)
    claim(cloud)
    engine = cloud.drivers.network
    assert isinstance(engine, FakeNetworkEngine)
    engine.apply_network(NetworkSpec("net_1", "a"))
    with cloud.database.read() as session:
        mark = known_cloud(cloud.settings, session)
    assert mark.startswith("prj_")
    assert engine.world.marks == {("network", "net_1"): mark}
    assert known_cloud(cloud.settings, None) == mark


def test_a_cloud_that_lost_its_file_finds_the_same_id_again(cloud: Cloud) -> None:
    prepare(cloud)
    claim(cloud)
    before = known_cloud(cloud.settings, None)
    (cloud.settings.state_dir / "cloud.id").unlink()
    assert known_cloud(cloud.settings, None) == ""
    claim(cloud)
    assert known_cloud(cloud.settings, None) == before


def test_two_clouds_on_one_engine_have_different_ids(cloud: Cloud, tmp_path: Path) -> None:
    world = World()
    other = build(Settings(state_dir=tmp_path / "other", fake=True), fake_drivers())
    try:
        other.settings.state_dir.mkdir(exist_ok=True)
        for made in (cloud, other):
            if made is other:
                made.database.create()
            made.drivers.network = FakeNetworkEngine(world)
            prepare(made)
            claim(made)
        cloud.drivers.network.apply_network(NetworkSpec("net_1", "a"))
        assert other.drivers.network.inventory()["network"] == set()
    finally:
        other.database.close()
