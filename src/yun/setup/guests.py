"""The cloud's instances as the machine itself sees them, while nobody serves: found, counted, switched off, removed."""

from __future__ import annotations

import time
from contextlib import suppress

import sqlalchemy as sa

from yun.base.config import Settings
from yun.base.db import Database
from yun.base.errors import Unavailable, YunError
from yun.base.log import logger
from yun.base.messages import _
from yun.drivers.bundle import HostDrivers
from yun.drivers.host.services import LOGS
from yun.drivers.hypervisor.port import Hypervisor, Power
from yun.operations.events import emit
from yun.operations.intent import Subject

log = logger(__name__)
ON = (Power.RUNNING, Power.PAUSED)
ASK_SECONDS = 5.0


def ours(settings: Settings, hypervisor: Hypervisor) -> list[str]:
    """UUIDs of the domains that this cloud defined: those it has rows of, and those with disks in its directory."""
    known = _instances(settings)
    mark = f"{settings.state_dir}/"
    return [
        uuid for uuid, state in hypervisor.states().items()
        if state.power is not Power.MISSING and (uuid in known or mark in _definition(hypervisor, uuid))
    ]  # fmt: skip


def _definition(hypervisor: Hypervisor, uuid: str) -> str:
    """A domain's XML; empty where it vanished since it was listed."""
    try:
        return hypervisor.xml(uuid, live=False)
    except YunError:
        if hypervisor.state(uuid).power is Power.MISSING:
            return ""
        raise


def _instances(settings: Settings) -> set[str]:
    """UUIDs in the database, none where it cannot be read."""
    from yun.compute.model import Instance

    try:
        database = Database(settings.url)
        try:
            with database.read() as session:
                return set(session.scalars(sa.select(Instance.uuid)))
        finally:
            database.close()
    except (YunError, sa.exc.SQLAlchemyError) as error:
        log.warning("the database cannot be read: %s", error)
        return set()


def running(settings: Settings, hypervisor: Hypervisor) -> list[str] | None:
    """UUIDs of ours that are on; None where the hypervisor does not say."""
    try:
        states = hypervisor.states()
        return [u for u in ours(settings, hypervisor) if u in states and states[u].power in ON]
    except YunError as error:
        log.warning("the hypervisor does not answer: %s", error)
        return None


def find_running(settings: Settings, local: HostDrivers) -> list[str] | None:
    """As `running`; a hypervisor that does not answer is started or woken first, since guests outlive it."""
    found = running(settings, local.hypervisor)
    if found is not None:
        return found
    if any(s.name == "libvirt" and s.state == "missing" for s in local.machine.services()):
        return []
    for name in ("virtlogd", "libvirt"):
        with suppress(YunError):
            local.machine.start_service(name)
    until = time.monotonic() + ASK_SECONDS
    while (found := running(settings, local.hypervisor)) is None and time.monotonic() < until:
        time.sleep(0.2)
    return found


def stop(settings: Settings, local: HostDrivers, seconds: float) -> int:
    """Every instance is off: asked to power off, and after ``seconds`` without power; how many ran.

    Those with autostart run again when the cloud comes up, however they went off. Raises `Unavailable` where nobody
    can tell what runs.
    """
    hypervisor, found = local.hypervisor, find_running(settings, local)
    if found is None:
        raise _unknown()
    # Written before they are off: whatever happens meanwhile, a look at the machines rights the rows of those that run.
    note_stopped(settings, found)
    for uuid in found:
        with suppress(YunError):
            hypervisor.shutdown(uuid, "acpi")
    until = time.monotonic() + seconds
    while (left := running(settings, hypervisor)) != [] and time.monotonic() < until:
        time.sleep(0.5)
    if left is None:
        raise _unknown()
    for uuid in left:
        hypervisor.destroy(uuid)
    return len(found)


def _unknown() -> Unavailable:
    return Unavailable(
        _("The hypervisor does not answer, so nobody can tell which instances run; the services were left running."),
        hint=_("See why in {path}, end libvirtd if need be, and run this again.", path=LOGS["libvirt"]),
    )


def note_stopped(settings: Settings, uuids: list[str]) -> None:
    """The instances' rows say that they went off with their host: the next look brings back those with autostart."""
    from yun.compute.model import LIVE, Instance, State
    from yun.compute.reality import HOST_REBOOT

    try:
        database = Database(settings.url)
        try:
            with database.write() as session:
                for row in session.scalars(sa.select(Instance).where(Instance.state.in_(LIVE))):
                    if row.uuid not in uuids:
                        continue
                    row.state, row.reason, row.agent, row.mended_at = State.STOPPED, HOST_REBOOT, False, []
                    data = {"state": row.state, "reason": row.reason, "mends": False, "agent": False}
                    subject = Subject("instance", row.id, row.name)
                    emit(session, "instance.stopped", subject=subject, project_id=row.project_id, data=data)
        finally:
            database.close()
    except (YunError, sa.exc.SQLAlchemyError) as error:
        log.warning("the database cannot be written: %s", error)


def remove(settings: Settings, hypervisor: Hypervisor) -> int:
    """No domain of ours is defined or runs; how many there were."""
    found = ours(settings, hypervisor)
    for uuid in found:
        hypervisor.destroy(uuid)
        hypervisor.undefine(uuid)
    return len(found)
