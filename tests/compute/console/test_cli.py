"""The terminal's side: the command in a real pseudo terminal against a real server on the fake."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI

from tests.compute.console.conftest import SmallCloud
from yun.compute.console.cli import local_keys, ssh_command
from yun.compute.console.terminal import Keyboard
from yun.compute.model import Instance
from yun.web.command import Failure


class Server:
    """The application behind uvicorn on a port of its own, in a thread."""

    def __init__(self, app: FastAPI, port: int = 0) -> None:
        config = uvicorn.Config(app, port=port, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        end = time.monotonic() + 20
        while not self.server.started:
            assert time.monotonic() < end
            time.sleep(0.02)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)


@pytest.fixture
def server(app: FastAPI) -> Iterator[Server]:
    server = Server(app)
    yield server
    server.stop()


class Terminal:
    """`yun` in a pseudo terminal."""

    def __init__(self, *words: str, port: int, home: Path, lang: str = "en") -> None:
        self.master, slave = pty.openpty()
        environ = {
            **os.environ, "YUN_URL": f"http://127.0.0.1:{port}", "YUN_TOKEN": "ann", "HOME": str(home),
            "YUN_LANG": lang, "LINES": "33", "COLUMNS": "101",
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from yun.cli import main; main()", *words],
            stdin=slave, stdout=slave, stderr=slave, env=environ, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.seen = b""

    def until(self, text: str, patience: float = 20) -> str:
        """Read until ``text`` was printed; what came before and with it is forgotten."""
        end, wanted = time.monotonic() + patience, text.encode()
        while wanted not in self.seen:
            assert time.monotonic() < end, self.seen
            if select.select([self.master], [], [], 0.2)[0]:
                self.seen += os.read(self.master, 4096)
        before, _wanted, self.seen = self.seen.partition(wanted)
        return (before + wanted).decode(errors="replace")

    def type(self, data: bytes) -> None:
        os.write(self.master, data)

    def close(self) -> int:
        """The exit code; a process that stays is ended."""
        try:
            return self.process.wait(10)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            os.close(self.master)


def test_a_person_works_on_the_serial_console(server: Server, cloud: SmallCloud, tmp_path: Path) -> None:
    instance = cloud.machine()
    terminal = Terminal("console", instance.name, port=server.port, home=tmp_path)
    terminal.until("login: ")
    terminal.type(b"echo hi\x03\r")
    terminal.until("\r\nhi")
    terminal.type(b"\x1dr")
    terminal.until("stty rows 33 cols 101")
    terminal.type(b"\x1d?")
    terminal.until("After Ctrl-]")
    terminal.type(b"\x1dq")
    terminal.until("Left the console.")
    assert terminal.close() == 0


def test_the_command_speaks_chinese(server: Server, cloud: SmallCloud, tmp_path: Path) -> None:
    terminal = Terminal("console", cloud.machine().name, port=server.port, home=tmp_path, lang="zh")
    terminal.until("已连接")
    terminal.until("login: ")
    terminal.type(b"\x1d.")
    assert terminal.close() == 0


def test_the_console_comes_back_after_the_clouds_restart(
    app: FastAPI, server: Server, cloud: SmallCloud, tmp_path: Path
) -> None:
    terminal = Terminal("console", cloud.machine().name, port=server.port, home=tmp_path)
    terminal.until("login: ")
    server.stop()
    terminal.until("The connection was lost")
    del app.state.consoles
    second = Server(app, server.port)
    try:
        terminal.until("Connected.")
        terminal.type(b"echo back\r")
        terminal.until("\r\nback")
        terminal.type(b"\x1dq")
        assert terminal.close() == 0
    finally:
        second.stop()


def test_a_console_of_nothing_fails_with_a_sentence(server: Server, tmp_path: Path) -> None:
    terminal = Terminal("console", "nosuch", port=server.port, home=tmp_path)
    terminal.until("nosuch")
    assert terminal.close() == 5


def test_log_and_picture_come_as_files(server: Server, cloud: SmallCloud, tmp_path: Path) -> None:
    instance = cloud.machine()
    picture = tmp_path / "screen.png"
    terminal = Terminal("instance", "screenshot", instance.name, str(picture), port=server.port, home=tmp_path)
    terminal.until("screen.png")
    assert terminal.close() == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    cloud.world.domains[instance.uuid].guest.write(b"\x1b]0;evil\x07text")
    terminal = Terminal("instance", "log", instance.name, port=server.port, home=tmp_path)
    assert "\x1b" not in terminal.until("text")
    assert terminal.close() == 0


def test_keys_are_named_on_the_command_line(server: Server, cloud: SmallCloud, tmp_path: Path) -> None:
    instance = cloud.machine()
    for words in (("send-keys", instance.name, "ctrl", "alt", "f2"), ("type-text", instance.name, "ls")):
        assert Terminal("instance", *words, port=server.port, home=tmp_path).close() == 0
    assert cloud.world.domains[instance.uuid].guest.pressed == [(29, 56, 60), (38,), (31,)]


def test_our_key_is_kept_from_the_guest_unless_typed_twice() -> None:
    told: list[str] = []
    keyboard = Keyboard(told.append)
    assert keyboard.feed(b"a\x1d") == b"a"
    assert keyboard.feed(b"\x1db") == b"\x1db"
    assert keyboard.feed(b"\x1dx") == b""
    assert told == ["keys"]
    assert keyboard.feed(b"\x1dqrest") == b""
    assert keyboard.left


TARGET = {
    "instance_id": "ins_1", "user": "debian", "keys": ["ssh-ed25519 AAAA ann@home"], "addresses": ["172.31.240.5"],
}  # fmt: skip


def test_ssh_finds_user_key_and_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("YUN_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / ".ssh").mkdir()
    for name, blob in (("id_rsa", "BBBB"), ("id_ed25519", "AAAA")):
        (tmp_path / ".ssh" / name).write_text("private")
        (tmp_path / ".ssh" / f"{name}.pub").write_text(f"ssh-ed25519 {blob} somebody")
    assert local_keys(TARGET["keys"]) == [tmp_path / ".ssh" / "id_ed25519"]
    command = ssh_command(TARGET, None, None, ("uptime",))
    assert command[:5] == ["ssh", "-i", str(tmp_path / ".ssh" / "id_ed25519"), "-l", "debian"]
    assert command[-2:] == ["172.31.240.5", "uptime"]
    assert "HostKeyAlias=ins_1" in command
    assert ssh_command(TARGET, "root", "/k", ())[1:5] == ["-i", "/k", "-l", "root"]


def test_ssh_without_an_address_says_what_to_do_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(Failure) as caught:
        ssh_command({**TARGET, "addresses": []}, None, None, ())
    assert "yun console" in str(caught.value.problem["hint"])


def test_what_ssh_needs_is_told_by_the_api(client, cloud: SmallCloud) -> None:  # type: ignore[no-untyped-def]
    instance = cloud.machine()
    with cloud.database.write() as session:
        row = session.get_one(Instance, instance.id)
        row.default_user, row.ssh_keys = "debian", ["ssh-ed25519 AAAA x"]
    told = client.get(f"/api/v1/instances/{instance.id}/ssh").json()
    assert told == {
        "instance_id": instance.id, "user": "debian", "keys": ["ssh-ed25519 AAAA x"], "addresses": [],
    }  # fmt: skip
