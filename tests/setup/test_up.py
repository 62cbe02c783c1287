"""`yun up`: directories and secrets, stages that explain, the first machine's key, and one at a time."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from yun.base.config import Settings
from yun.base.errors import DriverError, Unavailable
from yun.base.messages import _
from yun.drivers.host.fake import FakeMachine
from yun.setup import hello, up
from yun.setup.cli import up as command
from yun.setup.stage import StageFailed, Tell
from yun.web.command import Failure


@pytest.fixture
def state(tmp_path: Path) -> Path:
    for directory in (tmp_path, *tmp_path.parents):
        if directory.is_relative_to("/tmp") and directory != Path("/tmp"):
            directory.chmod(0o755)
    return tmp_path / "state"


def test_the_state_directory_can_be_entered_and_the_database_cannot_be_read(state: Path) -> None:
    up.prepare_directory(Settings(state_dir=state), Tell(quiet=True))
    up.prepare_directory(Settings(state_dir=state), Tell(quiet=True))
    assert stat.S_IMODE(state.stat().st_mode) == 0o711
    assert stat.S_IMODE((state / "yun.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((state / "log").stat().st_mode) == 0o700


def test_a_directory_the_hypervisor_cannot_enter_is_refused_with_the_command_that_mends_it(state: Path) -> None:
    state.parent.chmod(0o700)
    with pytest.raises(StageFailed) as caught:
        up.prepare_directory(Settings(state_dir=state), Tell(quiet=True))
    assert str(state.parent) in caught.value.message
    assert f"chmod o+x {state.parent}" in caught.value.remedy


def test_a_full_disk_is_told_before_anything_is_begun(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "LEAST_FREE", 1 << 62)
    with pytest.raises(StageFailed) as caught:
        up.prepare_directory(Settings(state_dir=state), Tell(quiet=True))
    assert "YUN_STATE_DIR" in caught.value.remedy


def test_a_path_that_is_a_file_fails_with_its_name(state: Path) -> None:
    state.write_text("")
    with pytest.raises(StageFailed) as caught:
        up.prepare_directory(Settings(state_dir=state), Tell(quiet=True))
    assert str(state) in caught.value.message


def test_stopped_daemons_are_started_in_order_and_running_ones_left_alone() -> None:
    machine = FakeMachine("node1")
    machine.break_service("libvirt")
    machine.break_service("ovn-controller")
    up.start_daemons(machine, Tell(quiet=True))
    assert {s.state for s in machine.services()} == {"running"}
    assert machine.started_services() == ["ovn-controller", "libvirt"]
    assert machine.chassis == "node1"


def test_a_daemon_that_will_not_start_fails_its_stage_with_the_drivers_reason() -> None:
    machine = FakeMachine()
    machine.break_service("libvirt")
    machine.refuse.add("libvirt")
    with pytest.raises(StageFailed) as caught:
        up.start_daemons(machine, Tell(quiet=True))
    assert "libvirt" in caught.value.message


@pytest.mark.parametrize(
    ("error", "why", "remedy"),
    [
        (DriverError(_("It broke."), hint=_("Mend it.")), "It broke.", "Mend it."),
        (Unavailable(_("Away.")), "Away.", "the general remedy"),
        (Failure({"detail": "no room", "code": "no_capacity", "hint": "make room"}), "no room", "make room"),
        (OSError(28, "No space left on device", "/x"), "No space left on device (/x)", "the general remedy"),
    ],
)
def test_every_kind_of_failure_says_stage_reason_and_remedy(error: Exception, why: str, remedy: str) -> None:
    with pytest.raises(StageFailed) as caught, Tell(quiet=True).stage(_("stage"), _("the general remedy")):
        raise error
    assert caught.value.name.render() == "stage"
    assert why in caught.value.message
    assert caught.value.remedy == remedy


def test_a_bug_is_not_dressed_up_as_a_failed_stage() -> None:
    with pytest.raises(ZeroDivisionError), Tell(quiet=True).stage(_("stage")):
        raise ZeroDivisionError


def test_two_at_a_time_are_refused(state: Path) -> None:
    state.mkdir()
    settings = Settings(state_dir=state)
    with up.only_one(settings), pytest.raises(StageFailed), up.only_one(settings):
        pass
    with up.only_one(settings):
        pass


def test_the_command_refuses_to_listen_afar_without_tls(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YUN_STATE_DIR", str(state))
    done = CliRunner().invoke(command, ["--listen", "0.0.0.0", "--no-hello"])
    assert done.exit_code == 1
    assert "YUN_TLS_CERT" in done.stderr
    assert not state.exists()


def test_the_first_machines_key_is_made_once_and_is_private(state: Path, tmp_path: Path) -> None:
    state.mkdir()
    settings = Settings(state_dir=state)
    path = hello.ssh_key(settings)
    before = path.read_bytes()
    assert hello.ssh_key(settings).read_bytes() == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id_rsa.pub").write_text("ssh-rsa AAAA root\n")
    keys = hello.public_keys(path, home)
    assert keys[0].startswith("ssh-ed25519 ")
    assert keys[1:] == ["ssh-rsa AAAA root"]


def test_the_outside_address_is_found_in_both_forms() -> None:
    assert hello.outside_address({"ports": [{"floating_ip": {"address": "172.31.240.5"}}]}) == "172.31.240.5"
    assert hello.outside_address({"ports": [{"floating_ip": None}, {"floating_ip": "172.31.240.6"}]}) == "172.31.240.6"
    assert hello.outside_address({}) is None


def test_a_machine_that_never_answers_ssh_is_given_up_with_the_reason(state: Path) -> None:
    state.mkdir()
    settings = Settings(state_dir=state)
    with pytest.raises(Unavailable) as caught:
        hello.await_ssh(settings, hello.ssh_key(settings), "root@127.0.0.1", seconds=0.1)
    assert "root@127.0.0.1" in caught.value.message.render()
