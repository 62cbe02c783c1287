"""`yun down` knows its own from strangers, and says before what is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from yun.base.config import Settings
from yun.drivers.host.fake import FakeMachine
from yun.drivers.hypervisor.fake import FakeHypervisor, FakeWorld
from yun.drivers.hypervisor.port import DiskSpec, DomainSpec, Power
from yun.drivers.network.fake import FakeNetworkEngine
from yun.drivers.network.port import GroupSpec, NetworkSpec
from yun.setup import down
from yun.setup.cli import down as command
from yun.setup.stage import Tell


def domain(uuid: str, disk: str) -> DomainSpec:
    return DomainSpec(
        uuid=uuid, name=uuid[:8], title="t", memory_mib=64, vcpus=1, accel="tcg", disks=(DiskSpec("vda", disk),)
    )


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
    assert down.our_domains(Settings(state_dir=tmp_path), hypervisor) == [OURS]


def test_a_purge_removes_our_domains_and_leaves_a_strangers_running(
    tmp_path: Path, hypervisor: FakeHypervisor
) -> None:
    down._remove_guests(Settings(state_dir=tmp_path), hypervisor, Tell(quiet=True))
    assert hypervisor.state(OURS).power is Power.MISSING
    assert hypervisor.state(THEIRS).power is Power.RUNNING


def test_a_guest_that_ignores_the_request_loses_its_power(
    tmp_path: Path, hypervisor: FakeHypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(down, "GUEST_SECONDS", 0.1)
    monkeypatch.setattr(hypervisor, "shutdown", lambda _uuid, _how: None)
    down._stop_guests(Settings(state_dir=tmp_path), hypervisor, Tell(quiet=True))
    assert hypervisor.state(OURS).power is Power.STOPPED
    assert hypervisor.state(THEIRS).power is Power.RUNNING


def test_all_networks_of_ours_are_removed() -> None:
    engine = FakeNetworkEngine()
    engine.apply_network(NetworkSpec("net_1", "a"))
    engine.apply_group(GroupSpec("sgr_1", "g"))
    down._remove_networks(engine, Tell(quiet=True))
    assert not any(engine.inventory().values())


def test_only_services_that_we_started_are_stopped() -> None:
    machine = FakeMachine()
    machine.break_service("libvirt")
    machine.start_service("libvirt")
    down._stop_services(machine, Tell(quiet=True))
    states = {s.name: s.state for s in machine.services()}
    assert states["libvirt"] == "stopped"
    assert states["openvswitch"] == "running"


def test_where_there_is_no_cloud_nothing_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YUN_STATE_DIR", str(tmp_path / "none"))
    done = CliRunner().invoke(command, [])
    assert done.exit_code == 0
    assert str(tmp_path / "none") in done.stdout


def test_a_purge_asks_first_and_no_means_no(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def never(_settings: Settings) -> None:
        raise AssertionError("purged without consent")

    monkeypatch.setenv("YUN_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(down, "purge_all", never)
    monkeypatch.setattr(down, "real_drivers", lambda _settings: (_ for _ in ()).throw(OSError()))
    (tmp_path / "precious").write_text("x")
    done = CliRunner().invoke(command, ["--purge"], input="n\n")
    assert done.exit_code == 1
    assert str(tmp_path) in done.stdout
    assert (tmp_path / "precious").exists()
