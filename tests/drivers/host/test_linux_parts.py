"""The pure parts of the real host driver: rules, merged settings, command errors, inventory."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from yun.base.errors import DriverError
from yun.drivers.host import ask, chassis, gateway, inventory, ovs, services
from yun.drivers.host.ask import Mute as Silence
from yun.drivers.host.command import run
from yun.drivers.host.gateway import rules


def test_the_rules_replace_only_our_own_table() -> None:
    text = rules("172.31.240.0/22")
    assert text.startswith("table inet yun\ndelete table inet yun\ntable inet yun {")
    assert text.count("table inet") == 3
    assert "flush ruleset" not in text
    assert "ip saddr 172.31.240.0/22 ip daddr != 172.31.240.0/22" in text


def test_a_mapping_of_a_stranger_survives_ours() -> None:
    merged = ovs.merged("physnet9:br-dc,physnet1:br-old", "physnet1:br-ex", "physnet1:")
    assert merged == "physnet9:br-dc,physnet1:br-ex"
    assert ovs.merged(merged, "", "physnet1:") == "physnet9:br-dc"
    assert ovs.merged("physnet1:br-ex", "", "physnet1:") == ""


def test_a_missing_tool_is_named_with_the_remedy() -> None:
    with pytest.raises(DriverError) as caught:
        run(["no-such-tool-of-ours"])
    assert "no-such-tool-of-ours" in caught.value.message.render()
    assert caught.value.hint is not None
    assert not caught.value.retryable


def test_a_tool_that_never_ends_is_given_up_in_time() -> None:
    began = time.monotonic()
    with pytest.raises(DriverError) as caught:
        run(["sleep", "30"], timeout=0.2)
    assert caught.value.retryable
    assert time.monotonic() - began < 5


def test_a_failing_tool_says_its_last_words() -> None:
    with pytest.raises(DriverError) as caught:
        run(["sh", "-c", "echo the disk is full >&2; exit 3"])
    assert "the disk is full" in caught.value.message.render()


def test_a_child_sees_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YUN_DATABASE_URL", "postgresql://user:secret@db/yun")
    said = run(["env"]).stdout
    assert "secret" not in said
    assert "/usr/sbin" in said


def test_a_daemon_left_behind_does_not_hold_the_call() -> None:
    began = time.monotonic()
    said = run(["sh", "-c", "sleep 3 & echo $!"]).stdout
    assert time.monotonic() - began < 2
    os.kill(int(said), 15)


def test_a_program_that_is_not_there_is_a_missing_service() -> None:
    daemon = services.Daemon(
        "libvirt", "/nonexistent/libvirtd", "libvirt-daemon-system", (), "/nonexistent/pid",
        lambda _t: "", lambda: None, lambda: None,
    )  # fmt: skip
    facts = services.look(daemon)
    assert (facts.state, facts.detail) == ("missing", "libvirt-daemon-system")


class Mute:
    """A daemon that runs and says nothing until it has been restarted (``cures`` times)."""

    def __init__(self, cures: int = 1) -> None:
        self.cures = cures
        self.calls: list[str] = []

    def ask(self, _timeout: float) -> str:
        if self.calls.count("start") < self.cures:
            raise Silence("time-out")
        return "9.0.0"

    def services(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> services.Services:
        monkeypatch.setattr(services, "WAKE_SECONDS", 0.1)
        monkeypatch.setattr(services, "START_SECONDS", 0.3)
        monkeypatch.setattr(services, "systemd_runs", lambda: False)
        made = services.Services(tmp_path)
        made.daemons["libvirt"] = services.Daemon(
            "libvirt", "/bin/sh", "libvirt-daemon-system", ("libvirtd.socket", "libvirtd.service"), "/nonexistent/pid",
            self.ask, lambda: self.calls.append("start"), lambda: self.calls.append("stop"),
        )  # fmt: skip
        return made


def test_a_daemon_that_runs_and_stays_mute_is_restarted_and_is_not_ours_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mute = Mute()
    made = mute.services(tmp_path, monkeypatch)
    assert made.start("libvirt") is True
    assert mute.calls == ["stop", "start"]
    assert made.started() == set()


def test_a_daemon_that_is_mute_after_its_restart_too_is_said_to_be_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DriverError) as caught:
        Mute(cures=99).services(tmp_path, monkeypatch).start("libvirt")
    assert "not even after a restart" in caught.value.message.render()


def test_under_systemd_only_the_mute_daemons_own_process_is_killed_and_its_services_restarted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mute, said = Mute(), list[list[str]]()
    made = mute.services(tmp_path, monkeypatch)

    def systemctl(argv: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        said.append(argv)
        if argv[1] == "restart":
            mute.calls.append("start")
        return subprocess.CompletedProcess(argv, 0, "", "")

    monkeypatch.setattr(services, "systemd_runs", lambda: True)
    monkeypatch.setattr(services, "run", systemctl)
    made.start("libvirt")
    assert said == [
        ["systemctl", "kill", "--kill-who=main", "--signal=KILL", "libvirtd.service"],
        ["systemctl", "restart", "libvirtd.service"],
    ]


def test_a_daemon_of_others_rests_for_a_while_and_stays_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = Mute(cures=0)

    def answer(_timeout: float) -> str:
        if quiet.calls[-1:] == ["stop"]:
            raise ask.Away("nobody listens")
        return "9.0.0"

    monkeypatch.setattr(quiet, "ask", answer)
    made = quiet.services(tmp_path, monkeypatch)
    with made.resting("libvirt"):
        assert quiet.calls == ["stop"]
    assert quiet.calls == ["stop", "start"]
    assert made.started() == set()


def test_what_open_vswitch_said_before_is_kept_once_and_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids: dict[str, str | None] = {"system-id": "5f0e", "ovn-encap-ip": "192.0.2.7", "theirs": "yes"}
    bridges = ["br-int"]
    file = tmp_path / "system-id.conf"
    file.write_text("5f0e\n")
    monkeypatch.setattr(chassis, "SYSTEM_ID_FILE", file)
    monkeypatch.setattr(ovs, "external_ids", lambda: {k: v for k, v in ids.items() if v is not None})
    monkeypatch.setattr(ovs, "set_external_ids", ids.update)
    monkeypatch.setattr(
        ovs, "vsctl", lambda *words: bridges.clear() or "" if "del-br" in words else
        "".join(bridges) if words == ("list-br",) else ""
    )  # fmt: skip
    made = chassis.Chassis(tmp_path / "host")
    made.set("node1", "system", remote="unix:/run/sb.sock", address="192.0.2.8")
    made.set("node2", "system", remote="unix:/run/sb.sock", address="192.0.2.9")
    assert (ids["system-id"], ids["ovn-encap-ip"], file.read_text()) == ("node2", "192.0.2.9", "node2\n")
    chassis.Chassis(tmp_path / "host").forget()
    assert {k: v for k, v in ids.items() if v is not None} == {
        "system-id": "5f0e", "ovn-encap-ip": "192.0.2.7", "theirs": "yes",
    }  # fmt: skip
    assert file.read_text() == "5f0e\n"
    assert bridges == []
    assert not made.recorded


@pytest.mark.parametrize("owner", ["", "ours", "another"])
def test_only_a_gateway_that_this_state_directory_made_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: str
) -> None:
    done: list[str] = []
    made = gateway.Gateway(tmp_path)
    monkeypatch.setattr(gateway, "run", lambda argv, **_o: done.append(argv[0]))
    monkeypatch.setattr(ovs, "bridge_owner", lambda: str(tmp_path) if owner == "ours" else owner)
    monkeypatch.setattr(ovs, "remove_bridge", lambda: done.append("bridge"))
    made.remove()
    assert done == []
    made.record.write_text(json.dumps({"cidr": "172.31.240.0/22", "address": "172.31.240.1/22"}))
    made.remove()
    assert done == ([] if owner == "another" else ["nft", "bridge"])
    assert not made.record.exists()


def test_a_process_that_ignores_the_request_to_end_loses_its_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "END_SECONDS", 0.2)
    deaf = subprocess.Popen(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"], stdout=subprocess.PIPE)
    assert deaf.stdout is not None
    deaf.stdout.readline()
    (tmp_path / "pid").write_text(str(deaf.pid))
    services._terminate(str(tmp_path / "pid"), "sh")
    assert deaf.wait(5) == -9
    deaf.stdout.close()


def test_the_kernel_says_whether_its_clock_is_kept() -> None:
    assert inventory.clock_is_kept() in (True, False, None)


def test_a_process_is_ended_only_under_its_own_name(tmp_path: Path) -> None:
    pidfile = tmp_path / "libvirtd.pid"
    pidfile.write_text(str(os.getpid()))
    services._terminate(str(pidfile), "libvirtd")
    assert services._comm(os.getpid()) != "libvirtd"


def test_the_busy_share_stays_between_nothing_and_everything() -> None:
    meter = inventory.CpuMeter()
    for _again in range(3):
        assert 0 <= meter.read() <= 1
