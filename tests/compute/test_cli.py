"""The commands of instances and flavors, against the whole cloud in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from fastapi.testclient import TestClient

from tests.compute.conftest import Lab
from tests.compute.test_api import asking
from yun.cli import root
from yun.web.client import Client, Target
from yun.web.command import Shell

Run = Callable[..., Result]


class Through(httpx.BaseTransport):
    """The command's requests reach the application in this process; the engine works between them."""

    def __init__(self, lab: Lab, api: TestClient) -> None:
        self.lab = lab
        self.api = api

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.lab.drain()
        skipped = {"host", "content-length"}
        headers = [(k, v) for k, v in request.headers.items() if k not in skipped]
        path = request.url.raw_path.decode().removeprefix("/api/v1")
        answer = self.api.request(request.method, path, content=request.read(), headers=headers)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@pytest.fixture
def run(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a command; its result."""
    with asking(lab) as api:

        def found(options: Shell) -> Client:
            return Client(Target("http://cloud", "token"), options, transport=Through(lab, api))

        monkeypatch.setattr(Client, "found", found)
        monkeypatch.setenv("YUN_LANG", "en")

        def call(*words: str) -> Result:
            return CliRunner().invoke(root, words)

        yield call


def parsed(result: Result) -> Any:
    """The one JSON document on stdout."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


CREATE = ("instance", "create", "web", "--image", "tiny", "--flavor", "tiny")


def test_create_waits_and_prints_what_came_to_be(lab: Lab, run: Run, tmp_path: Path) -> None:
    password, data, key = tmp_path / "pw", tmp_path / "data", tmp_path / "id.pub"
    password.write_text("hunter two 密码\n")
    data.write_text("#!/bin/sh\necho 云\n")
    key.write_text(lab_key())
    made = parsed(
        run("-o", "json", *CREATE, "--password-file", str(password), "--user-data", str(data), "--key", str(key),
            "--disk", "2G", "--memory", "256M", "--tag", "a", "--tag", "b", "--floating-ip", "--no-autostart",
            "--hostname", "h1", "--shutdown-seconds", "5")
    )  # fmt: skip
    assert (made["state"], made["memory_mib"], made["tags"], made["autostart"]) == ("running", 256, ["a", "b"], False)
    assert made["operation"]["state"] == "succeeded"
    assert made["disks"][0]["size_bytes"] == 2 * 1024**3
    assert made["hostname"] == "h1"
    assert "密码" not in json.dumps(made, ensure_ascii=False)
    with lab.database.read() as session:
        from yun.compute.model import Instance

        row = session.get_one(Instance, made["id"])
        assert row.user_data == "#!/bin/sh\necho 云\n"
        assert row.ssh_keys[0].startswith("ssh-ed25519 ")


def lab_key() -> str:
    """A public key, as a file holds it."""
    from tests.house.story import fresh_key

    return fresh_key() + " me@laptop\n"


def test_a_dry_run_prints_the_preview_and_makes_nothing(run: Run) -> None:
    plan = parsed(run("-o", "json", *CREATE, "--dry-run"))
    assert plan["kind"] == "instance.create"
    assert parsed(run("-o", "json", "instance", "list")) == []
    assert "Create instance web" in run(*CREATE, "--dry-run").stdout


def test_no_start_and_no_wait_are_heeded(run: Run) -> None:
    made = parsed(run("-o", "json", *CREATE, "--no-start", "--no-wait"))
    assert (made["state"], made["operation"]["state"]) == ("building", "queued")
    assert parsed(run("-o", "json", "instance", "show", "web"))["state"] == "stopped"


def test_power_edits_deletion_undo_and_purge(run: Run) -> None:
    assert run(*CREATE).exit_code == 0
    for words, state in (
        (("stop", "web"), "stopped"), (("start", "web"), "running"), (("pause", "web"), "paused"),
        (("resume", "web"), "running"), (("reboot", "web", "--hard"), "running"),
        (("stop", "web", "--force"), "stopped"), (("start", "web"), "running"),
    ):  # fmt: skip
        result = run("instance", *words)
        assert result.exit_code == 0, result.output
        assert parsed(run("-o", "json", "instance", "show", "web"))["state"] == state
    assert run("instance", "rename", "web", "数据库").exit_code == 0
    assert run("instance", "tag", "数据库", "a", "b").exit_code == 0
    assert run("instance", "update", "数据库", "--protect", "--on-crash", "leave", "--description", "x").exit_code == 0
    shown = parsed(run("-o", "json", "instance", "show", "数据库"))
    assert (shown["tags"], shown["protected"], shown["on_crash"]) == (["a", "b"], True, "leave")
    assert run("instance", "delete", "数据库").exit_code == 6
    assert run("instance", "update", "数据库", "--no-protect").exit_code == 0
    assert run("instance", "delete", "数据库").exit_code == 0
    assert parsed(run("-o", "json", "instance", "list")) == []
    assert run("undo").exit_code == 0
    assert parsed(run("-o", "json", "instance", "list"))[0]["state"] == "running"
    assert run("instance", "delete", "数据库", "--force").exit_code == 0
    assert run("instance", "purge", "数据库", "--yes").exit_code == 0
    assert run("instance", "show", "数据库").exit_code == 5


def test_lists_tables_and_several_at_once(run: Run) -> None:
    assert run(*CREATE).exit_code == 0
    assert run("instance", "create", "db", *CREATE[3:]).exit_code == 0
    assert "web" in run("instance", "list").stdout
    assert [i["name"] for i in parsed(run("-o", "json", "instance", "list", "--sort", "name"))] == ["db", "web"]
    assert len(parsed(run("-o", "json", "instance", "list", "--limit", "1"))) == 1
    assert parsed(run("-o", "json", "instance", "list", "--state", "stopped")) == []
    stopped = parsed(run("-o", "json", "instance", "stop", "web", "db"))
    assert [s["operation"]["state"] for s in stopped] == ["succeeded", "succeeded"]
    assert "128 MiB" in run("instance", "show", "web").stdout
    assert parsed(run("-o", "json", "instance", "metrics", "web"))["points"] == []
    assert run("instance", "tend", "web").exit_code == 0


def test_flavors_by_command(run: Run) -> None:
    assert run("flavor", "create", "big", "--vcpus", "2", "--memory", "1G", "--disk", "3G").exit_code == 0
    assert parsed(run("-o", "json", "flavor", "show", "big"))["memory_mib"] == 1024
    assert "big" in run("flavor", "list").stdout
    assert run("flavor", "delete", "big").exit_code == 0
    assert run("flavor", "show", "big").exit_code == 5


def test_bad_words_say_what_would_be_right(run: Run, tmp_path: Path) -> None:
    result = run(*CREATE, "--disk", "much")
    assert result.exit_code == 2
    assert "10G" in result.stderr
    assert run("instance", "create", "a/b", *CREATE[3:]).exit_code == 2
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    assert run(*CREATE, "--user-data", str(binary)).exit_code == 2
    assert run(*CREATE, "--key", "nobody").exit_code == 5
    assert run("instance", "start", "nothing").exit_code == 5


def test_the_history_of_a_thing_is_found_under_the_name_it_has_and_the_one_it_had(run: Run) -> None:
    run(*CREATE)
    run("instance", "rename", "web", "shop")
    kinds = [o["kind"] for o in parsed(run("-o", "json", "history", "instance", "shop"))]
    assert kinds == ["instance.rename", "instance.create"]
    run("instance", "delete", "shop")
    run("instance", "purge", "shop", "--yes")
    assert "instance.purge" in [o["kind"] for o in parsed(run("-o", "json", "history", "instance", "shop"))]
    assert run("history", "instance", "nothing").exit_code == 5


def test_disks_are_added_attached_detached_and_grown(lab: Lab, run: Run) -> None:
    run(*CREATE)
    added = parsed(run("-o", "json", "instance", "add-disk", "web", "--size", "2G", "--name", "data"))
    assert added["operation"]["state"] == "succeeded"
    assert [d["slot"] for d in parsed(run("-o", "json", "instance", "show", "web"))["disks"]] == ["vda", "vdb"]
    assert "vdb" in run("volume", "detach", "data", "--dry-run").stdout
    assert run("volume", "detach", "data").exit_code == 0
    assert run("volume", "grow", "data", "3G").exit_code == 0
    assert run("volume", "attach", "data", "web", "--bus", "scsi", "--read-only").exit_code == 0
    place = parsed(run("-o", "json", "volume", "show", "data"))["attachment"]
    assert (place["slot"], place["bus"], place["readonly"]) == ("sdb", "scsi", True)
    refused = run("volume", "grow", "data", "1G")
    assert refused.exit_code == 2
    assert "size_bytes" in refused.stderr
    assert run("volume", "attach", "data", "web").exit_code != 0


def test_an_instance_is_resized_and_what_waits_is_told(run: Run) -> None:
    run(*CREATE)
    assert run("instance", "resize", "web").exit_code == 2
    resized = parsed(run("-o", "json", "instance", "resize", "web", "--vcpus", "2", "--memory", "1G"))
    assert resized["pending"] == [
        {"field": "vcpus", "now": 1, "next": 2}, {"field": "memory_mib", "now": 128, "next": 1024}
    ]  # fmt: skip


def test_a_nouns_help_shows_every_verb_with_its_whole_line(run: Run) -> None:
    shown = run("instance", "--help").stdout
    assert "..." not in shown.replace("ARGS]...", "")
    assert "Add an empty disk, while the instance runs where its bus" in shown


def test_states_in_tables_are_said_in_the_persons_language(run: Run) -> None:
    assert "可用" in run("--lang", "zh", "image", "list").stdout
    assert '"active"' in run("--lang", "zh", "-o", "json", "image", "list").stdout


def test_a_disk_that_waits_for_the_next_start_is_shown_as_such(run: Run) -> None:
    assert run("instance", "create", "web", "--image", "tiny", "--flavor", "tiny").exit_code == 0
    assert run("instance", "add-disk", "web", "--size", "1M", "--bus", "sata").exit_code == 0
    assert "sdh 1 MiB (from the next start on)" in run("instance", "show", "web").stdout
    assert "sdh 1 MiB (下次启动后生效)" in run("--lang", "zh", "instance", "show", "web").stdout
