"""`yun down` knows its own from strangers, and says before what is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from yun.base.config import Settings
from yun.base.errors import Unavailable
from yun.drivers.bundle import HostDrivers
from yun.drivers.host.fake import FakeMachine
from yun.drivers.hypervisor.fake import FakeHypervisor, FakeWorld
from yun.drivers.hypervisor.port import DiskSpec, DomainSpec, Power
from yun.drivers.network.fake import FakeNetworkEngine, World
from yun.drivers.network.port import GroupSpec, NetworkSpec
from yun.drivers.volume.fake import FakeVolumeStore
from yun.setup import down, guests, leftovers
from yun.setup.cli import down as command
from yun.setup.stage import Tell


def domain(uuid: str, disk: str) -> DomainSpec:
    return DomainSpec(
        uuid=uuid, name=uuid[:8], title="t", memory_mib=64, vcpus=1, accel="tcg", disks=(DiskSpec("vda", disk),)
    )


class Waker(FakeMachine):
    """A machine whose libvirt, once started, lets the hypervisor answer."""

    world: FakeWorld | None = None

    def start_service(self, name: str) -> None:
        super().start_service(name)
        if name == "libvirt" and self.world is not None:
            self.world.away = False


def on(hypervisor: FakeHypervisor) -> HostDrivers:
    return HostDrivers(hypervisor=hypervisor, volume=FakeVolumeStore(), machine=Waker())


OURS, THEIRS = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


@pytest.fixture
def hypervisor(tmp_path: Path) -> FakeHypervisor:
    made = FakeHypervisor(FakeWorld())
    made.define(domain(OURS, f"{tmp_path}/pool/heads/a.qcow2"))
    made.define(domain(THEIRS, "/srv/other/b.qcow2"))
    made.start(OURS)
    made.start(THEIRS)
    return made


def test_only_our_own_domains_are_found_even_without_a_database(tmp_path: Path, hypervisor: FakeHypervisor) -> None:
    assert guests.ours(Settings(state_dir=tmp_path), hypervisor) == [OURS]


def test_a_purge_removes_our_domains_and_leaves_a_strangers_running(
    tmp_path: Path, hypervisor: FakeHypervisor
) -> None:
    assert guests.remove(Settings(state_dir=tmp_path), hypervisor) == 1
    assert hypervisor.state(OURS).power is Power.MISSING
    assert hypervisor.state(THEIRS).power is Power.RUNNING


def test_a_guest_that_ignores_the_request_loses_its_power(
    tmp_path: Path, hypervisor: FakeHypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hypervisor, "shutdown", lambda _uuid, _how: None)
    assert guests.stop(Settings(state_dir=tmp_path), on(hypervisor), 0.1) == 1
    assert hypervisor.state(OURS).power is Power.STOPPED
    assert hypervisor.state(THEIRS).power is Power.RUNNING


def test_a_domain_that_vanishes_while_it_is_looked_at_is_nobodys(
    tmp_path: Path, hypervisor: FakeHypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = hypervisor.states()
    hypervisor.destroy(THEIRS)
    hypervisor.undefine(THEIRS)
    monkeypatch.setattr(hypervisor, "states", lambda: listed)
    assert guests.ours(Settings(state_dir=tmp_path), hypervisor) == [OURS]
    assert guests.running(Settings(state_dir=tmp_path), hypervisor) == [OURS]


def test_a_hypervisor_that_does_not_answer_leaves_unknown_what_runs(
    tmp_path: Path, hypervisor: FakeHypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guests, "ASK_SECONDS", 0.1)
    hypervisor.world.away = True
    settings = Settings(state_dir=tmp_path)
    assert guests.running(settings, hypervisor) is None
    with pytest.raises(Unavailable) as caught:
        guests.stop(settings, on(hypervisor), 0.1)
    assert "services were left running" in caught.value.message.render()


def test_a_stopped_hypervisor_is_started_to_tell_what_runs(tmp_path: Path, hypervisor: FakeHypervisor) -> None:
    local = on(hypervisor)
    hypervisor.world.away = True
    assert isinstance(local.machine, Waker)
    local.machine.world = hypervisor.world
    local.machine.break_service("libvirt")
    assert guests.find_running(Settings(state_dir=tmp_path), local) == [OURS]
    assert local.machine.started_services() == ["libvirt"]


def test_without_an_installed_hypervisor_nothing_runs(tmp_path: Path, hypervisor: FakeHypervisor) -> None:
    local = on(hypervisor)
    hypervisor.world.away = True
    local.machine.break_service("libvirt", "missing")  # type: ignore[attr-defined]
    assert guests.find_running(Settings(state_dir=tmp_path), local) == []


def test_networks_of_this_cloud_are_removed_and_another_clouds_stay() -> None:
    world = World()
    ours, theirs, old = (FakeNetworkEngine(world) for _again in range(3))
    ours.own("prj_one")
    theirs.own("prj_two")
    ours.apply_network(NetworkSpec("net_1", "a"))
    ours.apply_group(GroupSpec("sgr_1", "g"))
    theirs.apply_network(NetworkSpec("net_2", "a"))
    old.apply_network(NetworkSpec("net_3", "made before things were marked"))
    old.apply_network(NetworkSpec("net_4", "the same, of another cloud"))
    known = leftovers.Known("prj_one", {"network": {"net_1", "net_3", "net_9"}})
    assert leftovers.remove_networks(FakeNetworkEngine(world), known) == 3
    assert set(world.networks) == {"net_2", "net_4"}
    assert world.groups == {}


def test_nothing_is_removed_from_the_network_engine_where_nobody_knows_whose_it_is() -> None:
    engine = FakeNetworkEngine()
    engine.apply_network(NetworkSpec("net_1", "a"))
    assert leftovers.remove_networks(engine, leftovers.Known()) == 0
    assert engine.inventory()["network"] == {"net_1"}


def test_only_services_that_we_started_are_stopped() -> None:
    machine = FakeMachine()
    machine.break_service("libvirt")
    machine.start_service("libvirt")
    down._stop_services(machine, Tell(quiet=True))
    states = {s.name: s.state for s in machine.services()}
    assert states["libvirt"] == "stopped"
    assert states["openvswitch"] == "running"


@pytest.mark.parametrize("words", [[], ["--guests"], ["--purge", "--yes"], ["--purge"]])
@pytest.mark.parametrize("there", [True, False])
def test_where_there_is_no_cloud_nothing_is_done(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str], there: bool
) -> None:
    def never(_settings: Settings) -> None:
        raise AssertionError("something was touched")

    if there:
        (tmp_path / "none").mkdir()
        (tmp_path / "none" / "precious").write_text("x")
    monkeypatch.setenv("YUN_STATE_DIR", str(tmp_path / "none"))
    for module, name in ((down, "real_drivers"), (down.process, "stop"), (down.process, "remove_unit")):
        monkeypatch.setattr(module, name, never)
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 0, done.output
    assert f"There is no cloud in {tmp_path / 'none'}" in done.stdout
    if there:
        assert [p.name for p in (tmp_path / "none").iterdir()] == ["precious"]


def test_a_purge_asks_first_and_no_means_no(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def never(_settings: Settings) -> None:
        raise AssertionError("purged without consent")

    monkeypatch.setenv("YUN_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(down, "purge_all", never)
    monkeypatch.setattr(down, "real_drivers", lambda _settings: (_ for _ in ()).throw(OSError()))
    (tmp_path / "precious").write_text("x")
    (tmp_path / "yun.db").write_text("")
    done = CliRunner().invoke(command, ["--purge"], input="n\n")
    assert done.exit_code == 1
    assert str(tmp_path) in done.stdout
    assert (tmp_path / "precious").exists()
