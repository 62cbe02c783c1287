"""The cloud's process is found, told from others, ended, and restarted only where something changed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from yun.base.config import Settings
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
