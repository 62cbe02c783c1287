"""Steps that change what a function shall do, and have its guest do it: in its seed, and at once where it runs."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.base.errors import Conflict, DriverError, YunError
from yun.base.log import logger
from yun.base.messages import _
from yun.compute.model import SETTLED, Instance, State
from yun.compute.steps import write_seed
from yun.functions.kinds import user_data
from yun.functions.model import FunctionState, NetworkFunction
from yun.functions.service import settings_digest, wanted
from yun.functions.steps.asking import APPLY, run
from yun.functions.steps.looking import look
from yun.operations.events import emit
from yun.operations.flow import Op, step, tx_step
from yun.operations.intent import Subject

log = logger(__name__)
APPLY_SECONDS = 60.0


def _follow_back(op: Op, output: Any, function_id: str) -> None:
    """For undos: the seed is as the rows say once more, and the guest too where it answers. One that does not is put
    right as soon as it does."""
    try:
        follow(op, function_id)
    except (DriverError, Conflict) as error:
        log.info("the function %s does not take its configuration back now: %s", function_id, error)


@step(undo=_follow_back)
def before_settings(op: Op, function_id: str) -> None:
    """Nothing yet. Stands before the step that changes the rows, so that undo tells the guest after those were taken
    back."""


def _settings_back(
    op: Op, session: Session, output: Any, function_id: str, settings: dict[str, Any], was: str
) -> None:
    function = session.get(NetworkFunction, function_id)
    if function is not None and output is not None:
        _have(op, session, function, output)


@tx_step(undo=_settings_back)
def have_settings(
    op: Op, session: Session, function_id: str, settings: dict[str, Any], was: str
) -> dict[str, Any]:
    """The function has these settings; those before are the output. Raises `Conflict` where somebody else changed them
    since they ``was``."""
    function = session.get_one(NetworkFunction, function_id)
    old = function.settings
    if settings_digest(old) != was:
        raise Conflict(
            _("This was changed by somebody else in the meantime."), hint=_("Load it again and repeat your change.")
        )
    _have(op, session, function, settings)
    return old


def _have(op: Op, session: Session, function: NetworkFunction, settings: dict[str, Any]) -> None:
    function.settings = settings
    instance = session.get_one(Instance, function.instance_id)
    emit(
        session, "function.updated", subject=Subject("function", function.id, instance.name),
        project_id=function.project_id, operation_id=op.id,
    )  # fmt: skip


@step(retries=3)
def follow_now(op: Op, function_id: str) -> None:
    """The guest does what the settings say, or will at its next start where it does not run."""
    follow(op, function_id)


def follow(op: Op, function_id: str) -> None:
    """What the guest reads at its next start is what the rows say; so is what it does, where it runs.

    Raises `DriverError` where it runs and does not answer, `Conflict` with its own words where it refuses.
    """
    with op.write() as session:
        function = session.get(NetworkFunction, function_id)
        instance = session.get(Instance, function.instance_id) if function else None
        if function is None or instance is None or instance.state not in SETTLED:
            return
        archive = wanted(session, function_id)
        text = user_data(archive)
        if instance.user_data != text:
            instance.user_data = text
    write_seed.call(op, instance.id)
    if instance.state != State.RUNNING:
        return
    code, said = run(op, instance, APPLY, archive, seconds=APPLY_SECONDS)
    if code:
        _refused(op, function_id)
        raise Conflict(
            _("The guest of {name} refused the configuration: {reason}", name=instance.name, reason=_printable(said)),
            hint=_("What was in force before is still in force."),
        )
    _accepted(op, function_id)
    try:
        look(op, function_id)
    except YunError as error:
        log.info("the function %s took its configuration and tells nothing: %s", function_id, error)


def _printable(said: str) -> str:
    """The first lines of what a guest said, as they can be shown."""
    lines = ("".join(c for c in line if c.isprintable()).strip() for line in said.splitlines())
    return " / ".join(line for line in lines if line)[:400] or "?"


def _refused(op: Op, function_id: str) -> None:
    with op.write() as session:
        row = session.get(FunctionState, function_id)
        if row is not None:
            row.fault = "refused"


def _accepted(op: Op, function_id: str) -> None:
    with op.write() as session:
        row = session.get(FunctionState, function_id)
        if row is not None and row.fault == "refused":
            row.fault = ""
