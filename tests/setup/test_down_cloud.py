"""`yun down` on a whole cloud in memory: what runs is never cut off unasked, and all come back alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.compute.conftest import Lab
from yun.base.config import Settings
from yun.compute import service
from yun.drivers.host.fake import FakeMachine
from yun.drivers.hypervisor.port import Power
from yun.first import claim
from yun.operations.intent import Subject
from yun.setup import down, guests, process
from yun.setup.stage import StageFailed
from yun.storage.model import Pool


@pytest.fixture
def machine(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeMachine:
    """The host of the cloud; `yun down` uses the cloud's own drivers, and finds no process."""
    monkeypatch.setattr(down, "real_drivers", lambda _settings: lab.cloud.drivers)
    monkeypatch.setattr(lab.cloud.drivers, "close", lambda: None)
    monkeypatch.setattr(process, "stop", lambda _settings: False)
    monkeypatch.setattr(process, "remove_unit", lambda _settings: None)
    monkeypatch.setattr(down, "COMMAND", tmp_path / "no-command")
    monkeypatch.setattr(guests, "ASK_SECONDS", 0.1)
    monkeypatch.setattr(down, "GUEST_SECONDS", 1.0)
    machine: Any = lab.cloud.drivers.on("local").machine
    machine.started.update(("openvswitch", "ovn-central", "ovn-controller", "virtlogd"))
    return machine


def tend(lab: Lab) -> None:
    lab.cloud.engine.nudge("instance.tend_all", Subject("periodic", "instance.tend_all"))
    lab.drain()


def stopped(machine: FakeMachine) -> list[str]:
    return [s.name for s in machine.services() if s.state == "stopped"]


@pytest.mark.parametrize("answers", [True, False])
def test_running_instances_keep_their_network_whether_or_not_the_hypervisor_answers(
    lab: Lab, machine: FakeMachine, answers: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.create("web")
    lab.world.away = not answers
    down.stop_all(lab.cloud.settings, guests=False)
    lab.world.away = False
    assert stopped(machine) == []
    assert lab.domain().power is Power.RUNNING
    assert ("does not answer" in capsys.readouterr().out) is not answers


def test_instances_nobody_can_count_are_not_said_to_be_stopped(lab: Lab, machine: FakeMachine) -> None:
    lab.create("web")
    lab.world.away = True
    with pytest.raises(StageFailed) as caught:
        down.stop_all(lab.cloud.settings, guests=True)
    lab.world.away = False
    assert caught.value.remedy
    assert stopped(machine) == []
    assert (lab.row().state, lab.domain().power) == ("running", Power.RUNNING)


def test_the_polite_and_the_deaf_come_back_alike_if_they_start_with_their_host(lab: Lab, machine: FakeMachine) -> None:
    for name in ("polite", "deaf", "polite-off", "deaf-off"):
        lab.create(name)
    lab.create("halted")
    lab.do(service.stop, "halted")
    for name in ("polite-off", "deaf-off"):
        lab.do(service.set_autostart, name, False)
    for name in ("deaf", "deaf-off"):
        lab.world.guest(lab.row(name).uuid, ignores_shutdown=True)
    for _again in range(4):
        down.stop_all(lab.cloud.settings, guests=True)
        assert {d.power for d in lab.world.domains.values()} == {Power.STOPPED}
        tend(lab)
        found = {n: lab.row(n).state for n in ("polite", "deaf", "polite-off", "deaf-off", "halted")}
        assert found == {
            "polite": "running", "deaf": "running", "polite-off": "stopped", "deaf-off": "stopped", "halted": "stopped",
        }  # fmt: skip
    assert stopped(machine) == ["openvswitch", "ovn-central", "ovn-controller", "virtlogd"]


def test_a_purge_of_another_directory_leaves_the_cloud_as_it_is(
    lab: Lab, machine: FakeMachine, tmp_path: Path
) -> None:
    lab.create("web")
    machine.gateway = ("172.31.240.0/22", "172.31.240.1/22")
    before = lab.cloud.drivers.network.inventory()
    down.purge_all(Settings(state_dir=tmp_path / "typo"))
    assert lab.cloud.drivers.network.inventory() == before
    assert machine.gateway is not None
    assert lab.domain().power is Power.RUNNING


def test_a_purge_takes_seeds_variables_and_sockets_outside_the_state_directory_and_nothing_else(
    lab: Lab, machine: FakeMachine, tmp_path: Path
) -> None:
    lab.create("web")
    claim(lab.cloud)
    row = lab.row()
    seeds = tmp_path / "elsewhere" / "seeds"
    seeds.mkdir(parents=True)
    for name in (f"{row.id}.iso", f"{row.id}.nvram"):
        (seeds / name).write_text("x")
    (seeds.parent / "precious").write_text("x")
    with lab.database.write() as session:
        session.add(Pool(host_id=row.host_id, name="other", path=str(seeds.parent), capacity_bytes=1, free_bytes=1))
    state = tmp_path / "state"
    state.mkdir()
    (state / "cloud.id").write_text((lab.cloud.settings.state_dir / "cloud.id").read_text())
    for service_name in ("libvirt", "virtlogd"):
        machine.break_service(service_name)
    down.purge_all(replace(lab.cloud.settings, state_dir=state, database_url=lab.cloud.settings.url))
    assert not seeds.exists()
    assert (seeds.parent / "precious").exists()
    assert not state.exists()
    assert not any(lab.cloud.drivers.network.inventory().values())
    assert lab.world.domains == {}
