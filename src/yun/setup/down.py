"""`yun down`: stops the cloud on this machine; with ``--purge`` removes all that it made."""

from __future__ import annotations

import errno
import shutil
from contextlib import suppress
from pathlib import Path

from yun.base.config import Settings
from yun.base.errors import YunError
from yun.base.messages import Message, _
from yun.base.units import format_size
from yun.drivers.bundle import Drivers, HostDrivers
from yun.drivers.host.port import HostMachine
from yun.setup import guests as instances
from yun.setup import leftovers, process
from yun.setup.stage import Tell
from yun.setup.up import COMMAND, only_one
from yun.worker import real_drivers

GUEST_SECONDS = 30.0
LOCAL = "local"


def no_cloud(settings: Settings) -> Message | None:
    """What to say where the state directory holds no cloud; None where it does."""
    if leftovers.there_is_a_cloud(settings):
        return None
    return _("There is no cloud in {path}.", path=str(settings.state_dir))


def stop_all(settings: Settings, *, guests: bool) -> None:
    """No process of the cloud runs. Guests go on, and with them the daemons they need, unless ``guests``: then they
    are shut down, and the daemons that `yun up` started are stopped. Raises `StageFailed`."""
    tell = Tell()
    if (nothing := no_cloud(settings)) is not None:
        tell.line(nothing)
        return
    with only_one(settings):
        _stop_serving(settings, tell)
        drivers = real_drivers(settings)
        try:
            _stop_the_rest(settings, drivers.on(LOCAL), tell, guests=guests)
        finally:
            drivers.close()


def _stop_the_rest(settings: Settings, local: HostDrivers, tell: Tell, *, guests: bool) -> None:
    if guests:
        _stop_guests(settings, local, tell)
    elif not local.machine.started_services():
        return
    else:
        running = instances.find_running(settings, local)
        if running is None:
            tell.line(_("The hypervisor does not answer: instances may be running, so the services they need go on."))
            tell.line(_("To stop those too: see why it does not answer, then run yun down --guests."))
            return
        if running:
            tell.line(_("Instances that go on running, with the services they need: {count}", count=len(running)))
            return
    if local.machine.started_services():
        _stop_services(local.machine, tell)


def what_is_lost(settings: Settings) -> list[Message]:
    """What a purge removes, for the question before it."""
    lost = []
    with suppress(YunError, OSError):
        drivers = real_drivers(settings)
        try:
            lost.append(_("instances: {count}", count=len(instances.ours(settings, drivers.on(LOCAL).hypervisor))))
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
    """Nothing that the cloud of this state directory made is left on this machine; distribution packages stay, and so
    does everything of another cloud. Raises `StageFailed`."""
    tell = Tell()
    if (nothing := no_cloud(settings)) is not None:
        tell.line(nothing)
        return
    with only_one(settings):
        _purge(settings, tell)
    process.remove_unit(settings)
    with tell.stage(_("state directory")) as done:
        _empty(settings.state_dir)
        done(_("removed"))
    ours = COMMAND.is_symlink() and Path(process.program()).resolve() in (COMMAND.resolve(), COMMAND.readlink())
    if ours and not process.UNIT.exists():
        COMMAND.unlink()


def _empty(directory: Path) -> None:
    """The directory and all in it are gone; a mount point stays, empty."""
    # What shows that there is a cloud goes last, so that a purge that failed halfway can be run again.
    for path in sorted(directory.iterdir(), key=lambda p: p.name in leftovers.SIGNS):
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
        known = leftovers.look(settings)
        if "libvirt" in there:
            with tell.stage(_("instances")) as done:
                done(_("{count} removed", count=instances.remove(settings, local.hypervisor)))
        if "ovn-central" in there:
            _remove_networks(drivers, known, tell)
        if "openvswitch" in there:
            with tell.stage(_("gateway")) as done:
                local.machine.remove_stale_ports([])
                local.machine.remove_gateway()
                local.machine.forget_chassis()
                done(_("removed"))
        drivers.close()
        _remove_other_files(settings, known, tell)
        if settings.database_url.startswith("postgresql"):
            with tell.stage(_("database")) as done:
                leftovers.drop_tables(settings)
                done(_("tables removed"))
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


def _stop_guests(settings: Settings, local: HostDrivers, tell: Tell) -> None:
    """Every instance is off: asked to power off, and after half a minute without power."""
    with tell.stage(_("instances")) as done:
        done(_("{count} stopped", count=instances.stop(settings, local, GUEST_SECONDS)))


def _remove_networks(drivers: Drivers, known: leftovers.Known, tell: Tell) -> None:
    with tell.stage(_("networks")) as done:
        if known.cloud_id:
            done(_("{count} things removed", count=leftovers.remove_networks(drivers.network, known)))
        else:
            done(_("left alone: nobody can tell which are this cloud's"))


def _remove_other_files(settings: Settings, known: leftovers.Known, tell: Tell) -> None:
    """What lies in pools outside the state directory, and the serial sockets; nothing else there is touched."""
    leftovers.remove_sockets(settings)
    if known.files:
        with tell.stage(_("disks in other pools")) as done:
            done(_("{count} removed", count=leftovers.remove_files(known)))


def _stop_services(machine: HostMachine, tell: Tell) -> None:
    """The daemons that `yun up` started are stopped, last started first."""
    with tell.stage(_("services")) as done:
        ours = machine.started_services()
        for name in reversed(ours):
            machine.stop_service(name)
        done(_("stopped {names}", names=", ".join(ours)) if ours else _("none was started by Yun"))
