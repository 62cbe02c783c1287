"""Speaking with the guest of a function through its agent: run one of its two programs, and what that said."""

from __future__ import annotations

import base64
from typing import Any

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.compute.model import Instance
from yun.operations.flow import Op

APPLY, STATE = "/usr/lib/function/apply", "/usr/lib/function/state"
AGENT_SECONDS = 10.0
MOST_BYTES = 1024 * 1024
FIRST_LOOK, LOOK_EVERY = 0.05, 1.0


def run(op: Op, instance: Instance, program: str, feed: bytes = b"", *, seconds: float) -> tuple[int, str]:
    """Run a program of the guest with ``feed`` as its input; its exit code and what it said, at most 1 MiB.

    `DriverError` where the agent does not answer or the program takes longer than ``seconds`` (retryable), or where the
    guest has no such program (not retryable). Precondition: the instance runs.
    """
    hypervisor = op.drivers.on(instance.host_id).hypervisor
    told: dict[str, Any] = {"path": program, "capture-output": True}
    if feed:
        told["input-data"] = base64.b64encode(feed).decode()
    answer = hypervisor.agent(instance.uuid, "guest-exec", told, timeout=AGENT_SECONDS)
    number = answer["pid"] if isinstance(answer, dict) else None
    end, pause = op.clock.monotonic() + seconds, FIRST_LOOK
    while True:
        found = hypervisor.agent(instance.uuid, "guest-exec-status", {"pid": number}, timeout=AGENT_SECONDS)
        if isinstance(found, dict) and found.get("exited"):
            return int(found.get("exitcode", 255)), _said(found)
        if op.clock.monotonic() > end:
            raise DriverError(_("The machine's guest agent does not answer."), retryable=True, private=program)
        op.sleep(pause)
        pause = min(pause * 2, LOOK_EVERY)


def _said(found: dict[str, Any]) -> str:
    parts = [base64.b64decode(str(found.get(name, ""))) for name in ("out-data", "err-data")]
    return b"\n".join(part for part in parts if part)[:MOST_BYTES].decode(errors="replace")
