"""The doctor finds what is wrong with directories, secrets and ports, and masks what is secret."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from yun.base.config import Settings
from yun.setup import doctor
from yun.setup.cli import doctor as command


def levels(found: list[doctor.Finding]) -> dict[str, str]:
    return {f.text.render(): f.level for f in found}


def test_a_directory_that_others_may_not_enter_is_named(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_uid == 0 and directory.is_relative_to("/tmp") and directory != Path("/tmp"):
            directory.chmod(0o755)
    assert doctor.closed_directory(inner) is None
    (tmp_path / "a").chmod(0o700)
    assert doctor.closed_directory(inner) == str(tmp_path / "a")


def test_a_secret_that_others_can_read_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    for name in ("root.token", "admin.password"):
        (tmp_path / name).write_text("x")
    (tmp_path / "root.token").chmod(0o600)
    (tmp_path / "admin.password").chmod(0o644)
    found = list(doctor._directory(Settings(state_dir=tmp_path)))
    bad = [f for f in found if "can be read by others" in f.text.text]
    assert [f.text.params["path"] for f in bad] == [str(tmp_path / "admin.password")]
    assert bad[0].remedy is not None
    assert bad[0].remedy.render() == f"chmod 600 {tmp_path / 'admin.password'}"


def test_a_missing_state_directory_is_an_error(tmp_path: Path) -> None:
    found = list(doctor._directory(Settings(state_dir=tmp_path / "none")))
    assert [f.level for f in found] == ["error"]


def test_a_port_taken_by_a_stranger_is_told_from_a_cloud_that_does_not_run(tmp_path: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen(1)
        settings = Settings(state_dir=tmp_path, port=stranger.getsockname()[1])
        assert [f.level for f in doctor._port(settings)] == ["error"]
    assert [f.level for f in doctor._port(settings)] == ["warning"]


def test_the_password_of_the_database_is_never_shown() -> None:
    shown = doctor.effective(Settings(database_url="postgresql://yun:secret@db.example.org/yun"))
    assert "secret" not in json.dumps(shown)
    assert shown["database_url"] == "postgresql://…@db.example.org/yun"


def test_a_look_that_fails_is_itself_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken() -> object:
        raise PermissionError(13, "Permission denied", "/dev/x")

    monkeypatch.setattr(doctor, "_kernel", broken)
    found = doctor.examine(Settings(state_dir=tmp_path, accel="tcg", datapath="netdev"))
    hit = [f for f in found if f.topic == "kernel"]
    assert [f.level for f in hit] == ["warning"]
    assert "Permission denied" in hit[0].text.render()
    assert {f.topic for f in found} >= {"system", "packages", "services", "directory", "disk", "port", "time"}


def test_every_finding_that_is_not_well_has_a_remedy(tmp_path: Path) -> None:
    for found in doctor.examine(Settings(state_dir=tmp_path, accel="tcg", datapath="netdev")):
        assert (found.level == "ok") == (found.remedy is None), found


def test_the_command_prints_one_json_document(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YUN_STATE_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("YUN_ACCEL", "tcg")
    monkeypatch.setenv("YUN_DATAPATH", "netdev")
    done = CliRunner().invoke(command, ["-o", "json"])
    value = json.loads(done.stdout)
    assert done.exit_code == 1
    assert value["settings"]["accel"] == "tcg"
    assert any(f["topic"] == "directory" and f["level"] == "error" and f["remedy"] for f in value["findings"])
