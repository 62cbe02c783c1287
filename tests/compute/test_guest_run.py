"""Passwords, trimming, clocks and commands inside guests: what the guest sees, what is kept, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from passlib.hash import sha512_crypt

from tests.compute.conftest import ROOT, Lab, both
from tests.compute.test_guest import panel, running  # noqa: F401 (a fixture)
from yun.base.context import Actor
from yun.base.errors import Conflict, Forbidden, Invalid
from yun.compute import service
from yun.compute.guest.model import GuestErrand, InstanceGuest
from yun.compute.steps.running import OUTPUT_BYTES, outcome_of
from yun.operations.model import Event, Operation, OperationStep, State

SECRET = "correct horse battery"


def result(lab: Lab, identifier: str) -> dict[str, Any]:
    done = lab.operation(identifier)
    assert done.state == State.SUCCEEDED, done.error
    value: dict[str, Any] = (done.result or {})["value"]
    return value


@both
def test_a_password_reaches_the_guest_as_a_hash_and_is_found_nowhere_afterwards(lab: Lab) -> None:
    running(lab)
    identifier = lab.do(service.set_password, "web", SECRET, user="root")
    assert result(lab, identifier)["user"] == "root"
    told = lab.domain().guest.inside.passwords["root"]
    assert sha512_crypt.verify(SECRET, told)
    assert lab.rows(GuestErrand) == []
    kept = []
    with lab.database.read() as session:
        for table in (Operation, OperationStep, Event):
            columns = list(sa.inspect(table).columns)
            kept += [repr(tuple(row)) for row in session.execute(sa.select(*columns))]
    assert not [line for line in kept if SECRET in line or "$6$" in line]


def test_a_password_the_guest_refuses_leaves_nothing_behind(lab: Lab) -> None:
    running(lab)
    identifier = lab.do(service.set_password, "web", SECRET, user="nobody-here")
    assert lab.operation(identifier).state == State.FAILED
    assert lab.rows(GuestErrand) == []


@pytest.mark.parametrize("user", ["", "a:b", "root\n", "-x", "a" * 65])
def test_a_name_that_no_user_has_is_refused(lab: Lab, user: str) -> None:
    running(lab)
    with lab.database.write() as session:
        row = service.get(_ctx(lab, session), "web")
        row.default_user = ""
    with lab.asking() as ctx, pytest.raises(Invalid) as caught:
        service.set_password(ctx, service.get(ctx, "web"), SECRET, user=user)
    assert "user" in caught.value.fields


def _ctx(lab: Lab, session: Any) -> Any:
    from yun.base.context import Context

    return Context(ROOT, session, lab.cloud.settings, project_id=lab.project_id)


def test_a_windows_guest_takes_no_hash_and_says_so(lab: Lab) -> None:
    running(lab)
    with lab.database.write() as session:
        session.execute(sa.update(InstanceGuest).values(os_id="mswindows"))
    with lab.asking() as ctx, pytest.raises(Conflict, match="Windows"):
        service.set_password(ctx, service.get(ctx, "web"), SECRET, user="Administrator")


VERBS: list[tuple[Any, tuple[Any, ...]]] = [
    (service.set_password, (SECRET,)), (service.freeze, ()), (service.thaw, ()), (service.trim, ()),
    (service.sync_time, ()), (service.run, (["true"],)),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "rest"), VERBS, ids=lambda v: getattr(v, "__name__", ""))
def test_without_an_agent_every_verb_says_what_is_missing(lab: Lab, verb: Any, rest: tuple[Any, ...]) -> None:
    lab.create()
    with lab.asking() as ctx, pytest.raises(Conflict, match="No guest agent is connected") as caught:
        verb(ctx, service.get(ctx, "web"), *rest)
    assert "qemu-guest-agent" in str(caught.value.hint)
    lab.do(service.stop, "web")
    with lab.asking() as ctx, pytest.raises(Conflict) as caught:
        verb(ctx, service.get(ctx, "web"), *rest)
    assert caught.value.details["state"] == "stopped"


def test_trimming_and_setting_the_clock_tell_what_they_did(lab: Lab) -> None:
    running(lab)
    inside = lab.domain().guest.inside
    inside.free_bytes, inside.ahead = 7 << 20, -3600.0
    assert result(lab, lab.do(service.trim, "web"))["trimmed_bytes"] == 7 << 20
    assert result(lab, lab.do(service.sync_time, "web"))["was_ahead_seconds"] == pytest.approx(-3600, abs=5)
    assert abs(inside.ahead) < 5


@both
def test_a_command_runs_once_and_its_output_is_the_result(lab: Lab) -> None:
    running(lab)
    done = result(lab, lab.do(service.run, "web", ["uname", "-a"]))
    assert done["exit_code"] == 0
    assert done["stdout"] == "Linux web 6.1.0-fake\n"
    assert (done["timed_out"], done["truncated"], done["signal"]) == (False, False, None)
    assert lab.domain().guest.inside.ran == [["uname", "-a"]]
    assert lab.rows(GuestErrand) == []
    assert not [e for e in lab.rows(Event) if "6.1.0-fake" in json.dumps(e.data)], "events do not carry output"


def test_what_fails_in_the_guest_is_a_result_too(lab: Lab) -> None:
    running(lab)
    assert result(lab, lab.do(service.run, "web", ["false"]))["exit_code"] == 1
    missing = result(lab, lab.do(service.run, "web", ["no-such-thing"]))
    assert missing["exit_code"] == 127
    assert "not found" in missing["stderr"]


def test_a_command_that_takes_too_long_is_killed_and_what_it_printed_is_kept(lab: Lab) -> None:
    running(lab)
    done = result(lab, lab.do(service.run, "web", ["sleep", "100"], timeout=1))
    assert (done["timed_out"], done["signal"], done["stdout"]) == (True, 9, "tired\n")


def test_long_output_is_cut(lab: Lab) -> None:
    running(lab)
    done = result(lab, lab.do(service.run, "web", ["yes"]))
    assert done["truncated"]
    assert len(done["stdout"]) + len(done["stderr"]) == OUTPUT_BYTES
    assert len(done["stderr"]) == 16 * 1024


def test_output_that_is_no_text_can_be_kept() -> None:
    import base64

    data = base64.b64encode(b"a\0b\xff").decode()
    assert outcome_of({"out-data": data, "exitcode": 0}, timed_out=False)["stdout"] == "a\ufffdb\ufffd"


@pytest.mark.parametrize("command", [[], [""], ["a\0b"], ["x" * 20_000], ["x"] * 201, ["\ud800"]])
def test_a_command_that_is_none_is_refused(lab: Lab, command: list[str]) -> None:
    running(lab)
    with lab.asking() as ctx, pytest.raises(Invalid) as caught:
        service.run(ctx, service.get(ctx, "web"), command)
    assert "command" in caught.value.fields


def test_a_process_that_died_while_starting_it_never_starts_it_twice(lab: Lab) -> None:
    running(lab)
    with lab.asking() as ctx:
        from yun.operations.service import submit

        identifier = submit(ctx, service.run(ctx, service.get(ctx, "web"), ["echo", "hi"])).id
    with lab.database.write() as session:
        session.execute(sa.update(GuestErrand).values(begun=True))
    lab.drain()
    ended = lab.operation(identifier)
    assert ended.state == State.FAILED
    assert lab.domain().guest.inside.ran == []
    assert lab.rows(GuestErrand) == []


def test_a_guest_that_was_rebooted_meanwhile_has_lost_the_command(lab: Lab) -> None:
    running(lab)
    with lab.asking() as ctx:
        from yun.operations.service import submit

        identifier = submit(ctx, service.run(ctx, service.get(ctx, "web"), ["echo", "hi"])).id
    with lab.database.write() as session:
        session.execute(sa.update(GuestErrand).values(begun=True, pid=4711))
    lab.drain()
    assert "no longer knows" in json.dumps(lab.operation(identifier).error)


def test_only_administrators_of_the_project_run_commands(lab: Lab) -> None:
    running(lab)
    member = Actor("user", "usr_m", "mia", {lab.project_id: "member"})
    with lab.asking(member) as ctx:
        row = service.get(ctx, "web")
        with pytest.raises(Forbidden):
            service.run(ctx, row, ["true"])
        service.trim(ctx, row)
    with lab.asking(Actor("user", "usr_a", "ada", {lab.project_id: "admin"})) as ctx:
        service.run(ctx, service.get(ctx, "web"), ["true"])


def test_the_panel_asks_runs_and_shows(lab: Lab, panel: TestClient) -> None:  # noqa: F811
    running(lab)
    url = f"/instances/{lab.row().id}"
    headers = {"HX-Request": "true", "Origin": "http://yun.test"}
    for dialog in ("set-password", "freeze", "run"):
        assert panel.get(f"{url}/{dialog}", headers=headers).status_code == 200
    assert panel.post(f"{url}/run", data={"command": "echo 'a <b>'"}, headers=headers).status_code in (200, 204)
    lab.drain()
    assert panel.post(f"{url}/run", data={"command": "echo 'a"}, headers=headers).status_code == 422
    page = panel.get(f"{url}/guest").text
    assert "<pre class=\"mt-2 mb-0\">a &lt;b&gt;\n</pre>" in page
    typed = {"user": "root", "password": SECRET}
    assert panel.post(f"{url}/set-password", data=typed, headers=headers).status_code in (200, 204)
    lab.drain()
    assert "root" in lab.domain().guest.inside.passwords
    assert panel.post(f"{url}/freeze", data={"seconds": "20"}, headers=headers).status_code in (200, 204)
    lab.drain()
    assert lab.domain().guest.inside.frozen
    assert "/thaw" in panel.get(f"{url}/guest").text
    assert panel.post(f"{url}/thaw", headers=headers).status_code in (200, 204)
    lab.drain()
    assert not lab.domain().guest.inside.frozen
