"""Steps that run a command in a guest: at most once, no longer than was said, with what it printed."""

from __future__ import annotations

import base64
from typing import Any

from yun.base.errors import Conflict, DriverError
from yun.base.log import logger
from yun.base.messages import _
from yun.compute.guest.model import GuestErrand, InstanceGuest
from yun.compute.model import Instance
from yun.compute.service.inside import WINDOWS
from yun.compute.steps.inside import AGENT_SECONDS
from yun.compute.steps.shared import place
from yun.drivers.hypervisor.port import Hypervisor
from yun.operations.flow import Cancelled, Op, step

log = logger(__name__)
OUTPUT_BYTES = 64 * 1024
ERROR_SHARE = 16 * 1024
"""How much of the output's room the error stream may take from the other."""
LAST_SECONDS = 5.0
FIRST_LOOK, LOOK_EVERY = 0.05, 1.0
LAUNCH = 'command -v setsid >/dev/null && exec setsid "$@"; exec "$@"'
"""Makes the command the leader of a process group of its own, under the number that the agent knows: so that its
children can be killed with it. No shell reads the command itself."""
KILL = 'kill -KILL -- "-$1" 2>/dev/null; kill -KILL "$1" 2>/dev/null'


@step(retries=0)
def launch(op: Op, instance_id: str, errand_id: str, command: list[str]) -> int:
    """The guest runs the command; its number there. Raises `Conflict` where it is not known whether it was started
    before this process died: it never runs twice."""
    row, hypervisor = place(op, instance_id)
    with op.write() as session:
        errand = session.get_one(GuestErrand, errand_id)
        known = session.get(InstanceGuest, instance_id)
        windows = known is not None and known.os_id == WINDOWS
        if errand.pid is not None:
            return errand.pid
        if errand.begun:
            raise Conflict(
                _("The cloud was interrupted just when the command was to start: nobody knows whether it ran."),
                hint=_("Look in the guest before you run it again."),
            )
        errand.begun = True
    words = command if windows else ["/bin/sh", "-c", LAUNCH, "sh", *command]
    pid = _execute(hypervisor, row.uuid, words)
    with op.write() as session:
        session.get_one(GuestErrand, errand_id).pid = pid
    return pid


def _execute(hypervisor: Hypervisor, uuid: str, words: list[str]) -> int:
    told = {"path": words[0], "arg": words[1:], "capture-output": True}
    answer = hypervisor.agent(uuid, "guest-exec", told, timeout=AGENT_SECONDS)
    assert isinstance(answer, dict)
    return int(answer["pid"])


@step(retries=0)
def await_end(op: Op, instance_id: str, errand_id: str, pid: int, seconds: float) -> dict[str, Any]:
    """The command has ended, or was killed after ``seconds``, or because somebody cancelled. What came of it."""
    row, hypervisor = place(op, instance_id)
    with op.read() as session:
        errand = session.get_one(GuestErrand, errand_id)
        known = session.get(InstanceGuest, instance_id)
    if errand.outcome is not None:
        return errand.outcome
    windows = known is not None and known.os_id == WINDOWS
    try:
        ended = _watch(op, row, hypervisor, pid, seconds)
    except Cancelled:
        _kill(hypervisor, row.uuid, pid, windows=windows)
        raise
    timed_out = ended is None
    if ended is None:
        _kill(hypervisor, row.uuid, pid, windows=windows)
        ended = _watch(op, row, hypervisor, pid, LAST_SECONDS)
    outcome = outcome_of(ended or {}, timed_out=timed_out)
    with op.write() as session:
        session.get_one(GuestErrand, errand_id).outcome = outcome
    return outcome


def _watch(op: Op, row: Instance, hypervisor: Hypervisor, pid: int, seconds: float) -> dict[str, Any] | None:
    """The agent's word that the command has ended; None where it has not within ``seconds``."""
    begin, pause = op.clock.monotonic(), FIRST_LOOK
    while True:
        try:
            told = hypervisor.agent(row.uuid, "guest-exec-status", {"pid": pid}, timeout=AGENT_SECONDS)
        except DriverError as error:
            if not error.retryable:
                raise _forgotten(error) from error
            log.info("the agent of %s does not answer: %s", row.id, error)
            told = {}
        if isinstance(told, dict) and told.get("exited"):
            return told
        passed = op.clock.monotonic() - begin
        if passed >= seconds:
            return None
        op.progress(0.9 * passed / seconds, _("The command runs"))
        op.sleep(min(pause, seconds - passed))
        pause = min(pause * 2, LOOK_EVERY)


def _forgotten(error: DriverError) -> Conflict:
    return Conflict(
        _("The guest no longer knows the command: it or its agent was restarted, and the output is lost."),
        hint=_("Look in the guest before you run it again."), private=str(error),
    )  # fmt: skip


def _kill(hypervisor: Hypervisor, uuid: str, pid: int, *, windows: bool) -> None:
    words = ["taskkill.exe", "/F", "/T", "/PID", str(pid)] if windows else ["/bin/sh", "-c", KILL, "kill", str(pid)]
    try:
        _execute(hypervisor, uuid, words)
    except DriverError as error:
        log.warning("the command %s in %s was not killed: %s", pid, uuid, error)


def outcome_of(told: dict[str, Any], *, timed_out: bool) -> dict[str, Any]:
    """The agent's answer as the operation's result, its output cut to what is kept."""
    out, err = (_decoded(told.get(name, "")) for name in ("out-data", "err-data"))
    kept_err = err[: max(ERROR_SHARE, OUTPUT_BYTES - len(out))]
    kept_out = out[: OUTPUT_BYTES - len(kept_err)]
    cut = len(kept_out) < len(out) or len(kept_err) < len(err)
    return {
        "exit_code": told.get("exitcode"),
        "signal": told.get("signal"),
        "timed_out": timed_out,
        "stdout": _text(kept_out),
        "stderr": _text(kept_err),
        "truncated": bool(cut or told.get("out-truncated") or told.get("err-truncated")),
    }


def _decoded(data: object) -> bytes:
    try:
        return base64.b64decode(str(data))
    except ValueError:
        return b""


def _text(data: bytes) -> str:
    return data.decode(errors="replace").replace("\0", "\ufffd")
