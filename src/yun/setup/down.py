"""`yun down`: stops the cloud on this machine; with ``--purge`` removes all that it made."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa

from yun.base.config import Settings
from yun.base.db import Base, Database
from yun.base.errors import YunError
from yun.base.log import logger
from yun.base.messages import Message, _
from yun.base.units import format_size
from yun.drivers.bundle import Drivers
from yun.drivers.host.port import HostMachine
from yun.drivers.hypervisor.port import Hypervisor, Power
from yun.drivers.network.port import NetworkEngine
from yun.setup import process
from yun.setup.stage import Tell
from yun.setup.up import COMMAND, only_one
from yun.worker import real_drivers

log = logger(__name__)
GUEST_SECONDS = 30.0
LOCAL = "local"


def stop_all(settings: Settings, *, guests: bool) -> None:
    """No process of the cloud runs. Guests go on, and with them the daemons they need, unless ``guests``: then they
    are shut down, and the daemons that `yun up` started are stopped. Raises `StageFailed`."""
    tell = Tell()
    if not settings.state_dir.is_dir():
        tell.line(_("There is no cloud in {path}.", path=str(settings.state_dir)))
        return
    with only_one(settings):
        _stop_serving(settings, tell)
        drivers = real_drivers(settings)
        try:
            _stop_the_rest(settings, drivers, tell, guests=guests)
        finally:
            drivers.close()


def _stop_the_rest(settings: Settings, drivers: Drivers, tell: Tell, *, guests: bool) -> None:
    local = drivers.on(LOCAL)
    if not local.machine.started_services():
        if guests:
            _stop_guests(settings, local.hypervisor, tell)
        return
    if guests:
        _stop_guests(settings, local.hypervisor, tell)
    elif running := _running(settings, local.hypervisor):
        tell.line(_("Instances that go on running, with the services they need: {count}", count=len(running)))
        return
    _stop_services(local.machine, tell)


def what_is_lost(settings: Settings) -> list[Message]:
    """What a purge removes, for the question before it."""
    lost = []
    with suppress(YunError, OSError):
        drivers = real_drivers(settings)
        try:
            lost.append(_("instances: {count}", count=len(our_domains(settings, drivers.on(LOCAL).hypervisor))))
        finally:
            drivers.close()
    size = sum(f.stat().st_blocks * 512 for f in settings.state_dir.rglob("*") if f.is_file() and not f.is_symlink())
    path, amount = str(settings.state_dir), format_size(size)
    lost.append(_("{path} with all disks, images and the database ({size})", path=path, size=amount))
    if settings.database_url:
        lost.append(_("all tables of Yun in the database of the setting database_url"))
    lost.append(_("Yun's networks, bridge, address and firewall table on this host"))
    return lost


def purge_all(settings: Settings) -> None:
    """Nothing that the cloud made is left on this machine; distribution packages stay. Raises `StageFailed`."""
    tell = Tell()
    if settings.state_dir.is_dir():
        with only_one(settings):
            _purge(settings, tell)
        with tell.stage(_("state directory")) as done:
            _empty(settings.state_dir)
            done(_("removed"))
    else:
        _purge(settings, tell)
    process.remove_unit()
    if COMMAND.is_symlink() and Path(process.program()).resolve() in (COMMAND.resolve(), COMMAND.readlink()):
        COMMAND.unlink()


def _empty(directory: Path) -> None:
    """The directory and all in it are gone; a mount point stays, empty."""
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    try:
        directory.rmdir()
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise


def _purge(settings: Settings, tell: Tell) -> None:
    _stop_serving(settings, tell)
    drivers = real_drivers(settings)
    try:
        local = drivers.on(LOCAL)
        there = _wake(local.machine, tell)
        if "libvirt" in there:
            _remove_guests(settings, local.hypervisor, tell)
        if "ovn-central" in there:
            _remove_networks(drivers.network, tell)
        if "openvswitch" in there:
            with tell.stage(_("gateway")) as done:
                local.machine.remove_stale_ports([])
                local.machine.remove_gateway()
                done(_("removed"))
        drivers.close()
        _remove_other_files(settings, tell)
        _drop_tables(settings, tell)
        ours = local.machine.started_services()
        if "ovn-controller" in ours:
            local.machine.stop_service("ovn-controller")
            local.machine.forget_chassis()
        _stop_services(local.machine, tell)
    finally:
        drivers.close()


def _wake(machine: HostMachine, tell: Tell) -> set[str]:
    """Every installed daemon runs: only a running one can forget what we told it. Their names."""
    with tell.stage(_("services")) as done:
        there = [s for s in machine.services() if s.state != "missing"]
        stopped = [s.name for s in there if s.state != "running"]
        for name in stopped:
            machine.start_service(name)
        done(_("started {names}", names=", ".join(stopped)) if stopped else _("all running"))
    return {s.name for s in there}


def _stop_serving(settings: Settings, tell: Tell) -> None:
    with tell.stage(Message("yun serve")) as done:
        done(_("was stopped") if process.stop(settings) else _("did not run"))


def our_domains(settings: Settings, hypervisor: Hypervisor) -> list[str]:
    """UUIDs of the domains that this cloud defined: those it has rows of, and those with disks in its directory."""
    known = _instances(settings)
    mark = f"{settings.state_dir}/"
    found = []
    for uuid, state in hypervisor.states().items():
        if state.power is Power.MISSING:
            continue
        if uuid in known or mark in hypervisor.xml(uuid, live=False):
            found.append(uuid)
    return found


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


def _running(settings: Settings, hypervisor: Hypervisor) -> list[str]:
    try:
        states = hypervisor.states()
        ours = our_domains(settings, hypervisor)
    except YunError as error:
        log.warning("the hypervisor does not answer: %s", error)
        return []
    return [uuid for uuid in ours if states[uuid].power in (Power.RUNNING, Power.PAUSED)]


def _stop_guests(settings: Settings, hypervisor: Hypervisor, tell: Tell) -> None:
    """Every instance is off: asked to power off, and after half a minute without power."""
    with tell.stage(_("instances")) as done:
        running = _running(settings, hypervisor)
        for uuid in running:
            with suppress(YunError):
                hypervisor.shutdown(uuid, "acpi")
        until = time.monotonic() + GUEST_SECONDS
        while (left := _running(settings, hypervisor)) and time.monotonic() < until:
            time.sleep(0.5)
        for uuid in left:
            hypervisor.destroy(uuid)
        done(_("{count} stopped", count=len(running)))


def _remove_guests(settings: Settings, hypervisor: Hypervisor, tell: Tell) -> None:
    with tell.stage(_("instances")) as done:
        ours = our_domains(settings, hypervisor)
        for uuid in ours:
            hypervisor.destroy(uuid)
            hypervisor.undefine(uuid)
        done(_("{count} removed", count=len(ours)))


def _remove_networks(engine: NetworkEngine, tell: Tell) -> None:
    with tell.stage(_("networks")) as done:
        there = engine.inventory()
        removers: tuple[tuple[str, Callable[[str], None]], ...] = (
            ("router", engine.remove_router), ("port", engine.remove_port),
            ("network", engine.remove_network), ("group", engine.remove_group),
        )  # fmt: skip
        count = 0
        for kind, remove in removers:
            for identifier in there.get(kind, ()):
                remove(identifier)
                count += 1
        done(_("{count} things removed", count=count))


def _remove_other_files(settings: Settings, tell: Tell) -> None:
    """Layers and heads that lie in pools outside the state directory; nothing else there is touched."""
    from yun.storage.model import Head, Layer

    paths: list[str] = []
    with suppress(YunError, sa.exc.SQLAlchemyError):
        database = Database(settings.url)
        try:
            with database.read() as session:
                paths = [*session.scalars(sa.select(Head.path)), *session.scalars(sa.select(Layer.path))]
        finally:
            database.close()
    elsewhere = [Path(p) for p in paths if p and not p.startswith(f"{settings.state_dir}/")]
    if elsewhere:
        with tell.stage(_("disks in other pools")) as done:
            for path in elsewhere:
                path.unlink(missing_ok=True)
            done(_("{count} removed", count=len(elsewhere)))


def _drop_tables(settings: Settings, tell: Tell) -> None:
    """Our tables in a database that is not in the state directory."""
    if not settings.database_url or not settings.database_url.startswith("postgresql"):
        return
    from yun.rooms import furniture

    with tell.stage(_("database")) as done:
        furniture("model")
        database = Database(settings.url)
        try:
            Base.metadata.drop_all(database.engine)
            with database.engine.begin() as connection:
                connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
        finally:
            database.close()
        done(_("tables removed"))


def _stop_services(machine: HostMachine, tell: Tell) -> None:
    """The daemons that `yun up` started are stopped, last started first."""
    with tell.stage(_("services")) as done:
        ours = machine.started_services()
        for name in reversed(ours):
            machine.stop_service(name)
        done(_("stopped {names}", names=", ".join(ours)) if ours else _("none was started by Yun"))
