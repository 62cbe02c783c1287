"""What every host machine promises; run on the fake here and on the real one in `tests/real`."""

from __future__ import annotations

import pytest

from yun.base.errors import DriverError
from yun.drivers.host.port import HostMachine

ORDER = ["openvswitch", "ovn-central", "ovn-controller", "virtlogd", "libvirt"]
CIDR, ADDRESS = "172.31.248.0/24", "172.31.248.1/24"


class HostContract:
    """A subclass gives the fixture ``machine``: a host whose daemons are installed and stopped or running."""

    def test_the_facts_are_plausible(self, machine: HostMachine) -> None:
        facts = machine.facts()
        assert all((facts.name, facts.boot_id, facts.kernel))
        assert facts.cpus >= 1
        assert 0 < facts.memory_free_mib <= facts.memory_mib
        assert 0 <= facts.cpu_used <= 1
        assert facts.accel in ("kvm", "tcg")
        assert facts.accel_reason in {
            "setting", "proved", "no_device", "no_access", "no_cpu_support", "no_qemu", "too_slow", "wrong_answer",
        }  # fmt: skip
        assert facts.datapath in ("system", "netdev")
        assert machine.facts().boot_id == facts.boot_id

    def test_services_come_in_start_order(self, machine: HostMachine) -> None:
        assert [s.name for s in machine.services()] == ORDER

    def test_a_started_service_runs_and_starting_it_again_changes_nothing(self, machine: HostMachine) -> None:
        for name in ORDER[:3]:
            machine.start_service(name)
        before = {s.name: s for s in machine.services()}
        assert {before[n].state for n in ORDER[:3]} == {"running"}
        assert before["openvswitch"].version
        assert before["openvswitch"].pid
        machine.start_service("openvswitch")
        after = {s.name: s for s in machine.services()}
        assert after["openvswitch"].pid == before["openvswitch"].pid

    def test_a_stopped_service_is_seen_and_started_again(self, machine: HostMachine) -> None:
        for name in ORDER[:3]:
            machine.start_service(name)
        machine.stop_service("ovn-controller")
        assert {s.name: s.state for s in machine.services()}["ovn-controller"] == "stopped"
        assert "ovn-controller" not in machine.started_services()
        machine.stop_service("ovn-controller")
        machine.start_service("ovn-controller")
        assert {s.name: s.state for s in machine.services()}["ovn-controller"] == "running"
        assert "ovn-controller" in machine.started_services()

    def test_an_unknown_service_is_refused_by_name(self, machine: HostMachine) -> None:
        with pytest.raises(DriverError) as caught:
            machine.start_service("cron")
        assert "cron" in caught.value.message.render()
        assert caught.value.retryable is False

    def test_the_gateway_can_be_applied_twice_and_removed_twice(self, machine: HostMachine) -> None:
        machine.start_service("openvswitch")
        machine.apply_gateway(cidr=CIDR, address=ADDRESS)
        machine.apply_gateway(cidr=CIDR, address=ADDRESS)
        assert machine.keep_gateway() is False
        machine.remove_gateway()
        machine.remove_gateway()
        assert machine.keep_gateway() is False

    def test_a_gateway_outside_its_range_is_refused(self, machine: HostMachine) -> None:
        with pytest.raises(DriverError):
            machine.apply_gateway(cidr=CIDR, address="10.1.1.1/24")

    def test_there_is_no_recording_of_a_port_without_a_card_and_none_to_end(self, machine: HostMachine) -> None:
        assert machine.captures() == {}
        machine.stop_capture("cap_none")
        machine.remove_capture("cap_none")
        assert machine.captures() == {}
