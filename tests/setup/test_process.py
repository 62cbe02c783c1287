"""The cloud's process is found, told from others, ended, and restarted only where something changed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from yun.base.config import Settings
from yun.base.errors import Conflict
from yun.setup import process


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    fake = tmp_path / "bin" / "yun"
    fake.parent.mkdir()
    body = "import sys, time\nprint('hello from', sys.argv[1], flush=True)\ntime.sleep(60)\n"
    fake.write_text(f"#!{sys.executable}\n{body}")
    fake.chmod(0o755)
    monkeypatch.setattr(process, "program", lambda: str(fake))
    monkeypatch.setattr(process, "systemd_runs", lambda: False)
    return Settings(state_dir=tmp_path)


def wait_for_log(settings: Settings) -> str:
    until = time.monotonic() + 10
    while not (text := process.log_file(settings).read_text()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return text


def test_a_started_process_is_found_and_ended(settings: Settings) -> None:
    environ = process.environment(settings, {"YUN_PORT": "8481", "SECRET": "x"})
    assert process.running(settings) is None
    pid = process.start(settings, environ)
    try:
        found = process.running(settings)
        assert found is not None
        assert found.pid == pid
        assert found.fingerprint == process.fingerprint(environ)
        assert wait_for_log(settings) == "hello from serve\n"
        assert os.getsid(pid) == pid
    finally:
        assert process.stop(settings) is True
    assert process.running(settings) is None
    assert process.stop(settings) is False


def test_a_stale_pid_file_is_not_believed(settings: Settings) -> None:
    process.record(settings).write_text(f"{os.getpid()}\nabc\n")
    assert process.running(settings) is None
    assert process.stop(settings) is False
    assert not process.record(settings).exists()


@pytest.mark.parametrize("text", ["", "x", "-1\n", "999999999\nabc"])
def test_a_damaged_pid_file_means_not_running(settings: Settings, text: str) -> None:
    process.record(settings).write_text(text)
    assert process.running(settings) is None


class Systemd:
    """What `systemctl` is told; ``main`` is the main process of the unit, ``active`` whether it runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, unit: Path) -> None:
        self.unit, self.main, self.active = unit, 0, True
        self.said: list[str] = []
        monkeypatch.setattr(process, "UNIT", unit)
        monkeypatch.setattr(process, "systemd_runs", lambda: True)
        monkeypatch.setattr(process, "run", self.run)

    def run(self, argv: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        self.said.append(argv[1])
        code = 0 if argv[1] != "is-active" or self.active else 3
        return subprocess.CompletedProcess(argv, code, f"{self.main}\n" if argv[1] == "show" else "", "")


@pytest.fixture
def systemd(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Systemd:
    return Systemd(monkeypatch, tmp_path / "yun.service")


def test_the_unit_of_another_state_directory_is_neither_stopped_nor_removed(
    settings: Settings, systemd: Systemd
) -> None:
    systemd.unit.write_text("[Service]\nEnvironmentFile=/var/lib/another/serve.env\n")
    assert process.running(settings) is None
    assert process.stop(settings) is False
    process.remove_unit(settings)
    assert systemd.said == []
    assert systemd.unit.exists()


def test_a_unit_that_serves_another_cloud_now_is_not_taken_over(settings: Settings, systemd: Systemd) -> None:
    text = "[Service]\nEnvironmentFile=/var/lib/another/serve.env\n"
    systemd.unit.write_text(text)
    with pytest.raises(Conflict) as caught:
        process.start(settings, process.environment(settings, {}))
    assert caught.value.hint is not None
    assert systemd.unit.read_text() == text
    systemd.active = False
    process.start(settings, process.environment(settings, {}))
    assert process.owns_unit(settings)


def test_the_unit_ends_before_guests_are_switched_off_with_the_host(settings: Settings, systemd: Systemd) -> None:
    process.start(settings, process.environment(settings, {}))
    after = [w for line in systemd.unit.read_text().splitlines() if line.startswith("After=") for w in line[6:].split()]
    assert {"libvirt-guests.service", "virt-guest-shutdown.target", "libvirtd.service"} <= set(after)
    process.stop(settings)
    assert "disable" in systemd.said
    process.remove_unit(settings)
    assert not systemd.unit.exists()


def test_a_process_in_the_foreground_is_found_and_ended_though_there_is_a_unit(
    settings: Settings, systemd: Systemd
) -> None:
    environ = process.environment(settings, {})
    process.start(settings, environ)
    child = process.start_child(settings, environ)
    try:
        found = wait_for_running(settings)
        assert found.pid == child.pid
        assert process.stop(settings) is True
        assert child.wait(10) != 0
    finally:
        child.kill()
        child.wait()


def wait_for_running(settings: Settings) -> process.Running:
    until = time.monotonic() + 10
    while (found := process.running(settings)) is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def test_a_process_of_another_state_directory_under_a_recorded_pid_is_a_stranger(settings: Settings) -> None:
    other = Settings(state_dir=settings.state_dir / "other")
    pid = process.start(settings, process.environment(settings, {}))
    try:
        other.state_dir.mkdir()
        process.record(other).write_text(process.record(settings).read_text())
        assert process.running(other) is None
        assert process.stop(other) is False
        assert wait_for_running(settings).pid == pid
    finally:
        process.stop(settings)


def test_an_address_that_was_asked_for_once_counts_until_loopback_is_asked_for(settings: Settings) -> None:
    home = {"YUN_STATE_DIR": str(settings.state_dir)}
    tls = {"YUN_TLS_CERT": "/etc/yun/cert.pem", "YUN_TLS_KEY": "/etc/yun/key.pem"}
    extra = {"YUN_LISTEN": "192.0.2.1", "YUN_PORT": "8481"}
    process.keep_asked(replace(settings, listen="192.0.2.1"), extra, {**home, **tls})
    assert process.recall(home) == {**home, **tls, **extra}
    assert process.recall({**home, "YUN_LISTEN": "::1"})["YUN_LISTEN"] == "::1"
    process.keep_asked(settings, {}, home)
    assert process.recall(home)["YUN_LISTEN"] == "192.0.2.1"
    (settings.state_dir / "config.toml").write_text('listen = "192.0.2.9"\n')
    assert "YUN_LISTEN" not in process.recall(home)
    (settings.state_dir / "config.toml").unlink()
    process.keep_asked(settings, {"YUN_LISTEN": "127.0.0.1"}, home)
    assert process.recall(home) == {**home, "YUN_PORT": "8481"}


def test_what_ends_the_process_knows_the_settings_it_was_started_with(settings: Settings) -> None:
    home = {"YUN_STATE_DIR": str(settings.state_dir)}
    assert process.served(home) == home
    environ = process.environment(settings, {"YUN_DATABASE_URL": "postgresql://yun:it's@db/yun", "YUN_PORT": "1"})
    child = process.start_child(settings, environ)
    child.kill()
    child.wait()
    assert process.variables_file(settings).stat().st_mode & 0o077 == 0
    assert process.served({**home, "YUN_PORT": "2"}) == {
        **home, "YUN_DATABASE_URL": "postgresql://yun:it's@db/yun", "YUN_PORT": "2",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00"])
def test_a_damaged_file_of_wishes_is_as_none(settings: Settings, text: str) -> None:
    process.wishes(settings).write_text(text)
    home = {"YUN_STATE_DIR": str(settings.state_dir)}
    assert process.recall(home) == home


def test_another_setting_changes_the_fingerprint_and_the_same_ones_do_not(settings: Settings) -> None:
    one = process.environment(settings, {"YUN_PORT": "1"})
    assert process.fingerprint(one) == process.fingerprint(dict(one))
    assert process.fingerprint(one) != process.fingerprint({**one, "YUN_PORT": "2"})


def test_only_our_own_settings_reach_the_process(settings: Settings) -> None:
    environ = process.environment(settings, {"YUN_PORT": "1", "AWS_SECRET": "x", "PATH": "/evil"})
    assert environ["YUN_PORT"] == "1"
    assert environ["YUN_STATE_DIR"] == str(settings.state_dir)
    assert "AWS_SECRET" not in environ
    assert "/usr/sbin" in environ["PATH"]


def test_a_process_that_dies_at_once_is_explained_by_its_log(settings: Settings) -> None:
    process.log_file(settings).parent.mkdir()
    process.log_file(settings).write_text("line\nthe port is taken\n")
    error = process.why_it_ended(settings)
    assert "the port is taken" in error.private
    assert error.hint is not None
    assert str(process.log_file(settings)) in error.hint.render()


def test_a_log_that_has_grown_is_put_aside(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOG_BYTES", 3)
    path = process.log_file(settings)
    path.parent.mkdir()
    path.write_text("long enough")
    assert process.open_log(settings).read_text() == ""
    assert path.with_suffix(".log.1").read_text() == "long enough"
    assert path.stat().st_mode & 0o077 == 0


def test_the_real_program_is_the_one_beside_this_python() -> None:
    program = Path(sys.executable).with_name("yun")
    done = subprocess.run([str(program), "version"], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("yun ")
