"""`yun up`: directories and secrets, stages that explain, the first machine's key, and one at a time."""

from __future__ import annotations

import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from tests.compute.conftest import Lab
from yun.base.config import Settings
from yun.base.errors import DriverError, Unavailable
from yun.base.messages import _
from yun.drivers.host.fake import FakeMachine
from yun.setup import hello, process, up
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


def test_a_host_keeps_the_name_the_cloud_knows_it_by(lab: Lab) -> None:
    machine = FakeMachine("renamed")
    name = up.known_name(lab.cloud.settings)
    assert name == "localhost"
    up.start_daemons(machine, Tell(quiet=True), name)
    assert machine.chassis == "localhost"


def test_before_its_first_start_a_cloud_knows_its_host_by_no_name(state: Path) -> None:
    up.prepare_directory(Settings(state_dir=state), Tell(quiet=True))
    assert up.known_name(Settings(state_dir=state)) is None


def test_a_mute_daemon_is_told_apart_from_a_stopped_one(capsys: pytest.CaptureFixture[str]) -> None:
    machine = FakeMachine("node1")
    machine.break_service("libvirt", "unresponsive")
    up.start_daemons(machine, Tell())
    assert "woken or restarted libvirt" in capsys.readouterr().out
    machine.break_service("libvirt", "unresponsive")
    machine.break_service("virtlogd")
    up.start_daemons(machine, Tell())
    assert "started virtlogd; woken or restarted libvirt" in capsys.readouterr().out


@pytest.fixture
def program(state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for `yun` that sleeps when it is to serve, on a machine with systemd and an old unit of this cloud."""
    state.mkdir()
    fake = state.parent / "yun"
    fake.write_text(f"#!{sys.executable}\nimport sys, time\ntime.sleep(60)\n")
    fake.chmod(0o755)
    unit = state.parent / "yun.service"
    unit.write_text(f"[Service]\nEnvironmentFile={state}/serve.env\n")
    monkeypatch.setattr(process, "program", lambda: str(fake))
    monkeypatch.setattr(process, "UNIT", unit)
    monkeypatch.setattr(process, "systemd_runs", lambda: True)
    nothing = subprocess.CompletedProcess(["systemctl"], 0, "0\n", "")
    monkeypatch.setattr(process, "run", lambda _argv, **_options: nothing)
    return fake


def serve_in_the_foreground(state: Path) -> subprocess.Popen[bytes] | None:
    settings = Settings(state_dir=state, port=0)
    return up._serve(settings, process.environment(settings, {}), Tell(quiet=True), foreground=True)


def test_the_foreground_works_on_a_machine_with_an_older_unit(
    state: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([False, False, True])
    monkeypatch.setattr(up, "_answers", lambda _settings: next(answers))
    child = serve_in_the_foreground(state)
    assert child is not None
    try:
        assert child.poll() is None
    finally:
        up._end(child)


def test_a_child_that_never_answers_is_not_left_behind(
    state: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up, "ANSWER_SECONDS", 0.3)
    children = watched(monkeypatch)
    with pytest.raises(StageFailed):
        serve_in_the_foreground(state)
    assert [c.poll() is not None for c in children] == [True]


def test_a_child_that_ends_is_noticed_at_once(state: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program.write_text(f"#!{sys.executable}\nraise SystemExit(3)\n")
    children = watched(monkeypatch)
    began = time.monotonic()
    with pytest.raises(StageFailed) as caught:
        serve_in_the_foreground(state)
    assert time.monotonic() - began < 20
    assert "above" in caught.value.remedy
    assert [c.returncode for c in children] == [3]


def watched(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The children that are started from now on."""
    children: list[subprocess.Popen[bytes]] = []
    start = process.start_child

    def keep(settings: Settings, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
        children.append(start(settings, environ))
        return children[-1]

    monkeypatch.setattr(process, "start_child", keep)
    return children


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


class Slow:
    """A client of a cloud whose pool is made while it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def items(self, path: str) -> list[dict[str, str]]:
        assert path == "/pools"
        self.asked += 1
        return [{"name": "default"}] if self.asked > 2 else []


def test_the_first_image_waits_for_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Slow()
    hello._await_pool(client)  # type: ignore[arg-type]
    assert client.asked == 3
    monkeypatch.setattr(hello, "POOL_SECONDS", 0.0)
    client.asked = -1000
    hello._await_pool(client)  # type: ignore[arg-type]


class Shelf:
    """A client of a cloud with these images; what it is asked to build is kept."""

    def __init__(self, *states: str) -> None:
        self.images = [{"name": f"image-{n}", "state": state, "id": f"img_{n}"} for n, state in enumerate(states)]
        self.built: list[object] = []
        self.options = SimpleNamespace(project=None)
        self.http = SimpleNamespace(headers={})

    def items(self, path: str) -> list[dict[str, str]]:
        return self.images if path == "/images" else [{"name": "default"}]

    def change(self, method: str, path: str, body: object, **rest: object) -> dict[str, str]:
        self.built.append((method, path, body))
        return {"id": "img_new"}


@pytest.mark.parametrize(("there", "builds"), [((), 1), (("active",), 0), (("failed",), 1)])
def test_without_the_first_machine_an_image_is_built_where_there_is_none(
    state: Path, there: tuple[str, ...], builds: int
) -> None:
    state.mkdir()
    shelf = Shelf(*there)
    hello.first_image(shelf, Settings(state_dir=state), Tell())  # type: ignore[arg-type]
    assert len(shelf.built) == builds


def test_an_image_that_a_person_took_away_is_not_built_again(state: Path) -> None:
    state.mkdir()
    settings = Settings(state_dir=state)
    hello.first_image(Shelf("active"), settings, Tell())  # type: ignore[arg-type]
    shelf = Shelf()
    hello.first_image(shelf, settings, Tell())  # type: ignore[arg-type]
    assert shelf.built == []


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
