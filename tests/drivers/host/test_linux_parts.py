"""The pure parts of the real host driver: rules, merged settings, command errors, inventory."""

from __future__ import annotations

import os
import time

import pytest

from yun.base.errors import DriverError
from yun.drivers.host import inventory, ovs, services
from yun.drivers.host.command import run
from yun.drivers.host.gateway import rules


def test_the_rules_replace_only_our_own_table() -> None:
    text = rules("172.31.240.0/22")
    assert text.startswith("table inet yun\ndelete table inet yun\ntable inet yun {")
    assert text.count("table inet") == 3
    assert "flush ruleset" not in text
    assert "ip saddr 172.31.240.0/22 ip daddr != 172.31.240.0/22" in text


def test_a_mapping_of_a_stranger_survives_ours() -> None:
    merged = ovs._merged("physnet9:br-dc,physnet1:br-old", "physnet1:br-ex", "physnet1:")
    assert merged == "physnet9:br-dc,physnet1:br-ex"
    assert ovs._merged(merged, "", "physnet1:") == "physnet9:br-dc"
    assert ovs._merged("physnet1:br-ex", "", "physnet1:") == ""


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


def test_a_process_is_ended_only_under_its_own_name(tmp_path: pytest.TempPathFactory) -> None:
    pidfile = tmp_path / "libvirtd.pid"  # type: ignore[operator]
    pidfile.write_text(str(os.getpid()))
    services._terminate(str(pidfile), "libvirtd")
    assert services._comm(os.getpid()) != "libvirtd"


def test_the_busy_share_stays_between_nothing_and_everything() -> None:
    meter = inventory.CpuMeter()
    for _again in range(3):
        assert 0 <= meter.read() <= 1
