"""The quiet operation that brings a guest's configuration in line with the rows."""

from __future__ import annotations

from yun.base.messages import _
from yun.compute.model import Instance
from yun.functions.model import NetworkFunction
from yun.operations.intent import Intent, Key, Subject


def subject_of(function: NetworkFunction, instance: Instance) -> Subject:
    """The function as an operation's subject."""
    return Subject("function", function.id, instance.name)


def follow_intent(function: NetworkFunction, instance: Instance) -> Intent:
    """Give the guest the configuration that the rows say: an address of a backend is another one, a start took an older
    one, or what is to run stands."""
    return Intent(
        kind="function.follow",
        title=_("Configure the network function {name} again", name=instance.name),
        subject=subject_of(function, instance),
        subjects=(Subject("instance", instance.id, instance.name),),
        project_id=function.project_id,
        arguments={"function_id": function.id},
        keys=(Key(f"instance:{instance.id}"),),
        undoable=False,
        no_undo=_("It only brings the guest in line with the settings."),
        transparent=True,
    )
