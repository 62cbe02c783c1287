"""The host's daemons as `yun up` needs them: running, answering, and OVN told who this host is."""

from __future__ import annotations

from contextlib import suppress

import sqlalchemy as sa

from yun.base.config import Settings
from yun.base.db import Database
from yun.base.errors import YunError
from yun.base.messages import _
from yun.drivers.host.port import HostMachine
from yun.setup.stage import Tell


def known_name(settings: Settings) -> str | None:
    """The name under which the cloud has known this host from its beginning; None before that. Its networks are bound
    to that name, whatever the machine calls itself now."""
    from yun.hosts.model import Host

    with suppress(YunError, sa.exc.SQLAlchemyError):
        database = Database(settings.url)
        try:
            with database.read() as session:
                return session.scalar(sa.select(Host.name).order_by(Host.created_at, Host.id).limit(1))
        finally:
            database.close()
    return None


def start_daemons(machine: HostMachine, tell: Tell, name: str | None = None) -> None:
    """Every daemon the host needs runs and answers, and OVN knows this host by ``name``, else by its own."""
    with tell.stage(_("services")) as done:
        started, revived = list[str](), list[str]()
        for found in machine.services():
            if found.name == "ovn-controller":
                machine.set_chassis_name(name or machine.facts().name)
            if found.state != "running":
                machine.start_service(found.name)
                (revived if found.state == "unresponsive" else started).append(found.name)
        parts = [_("started {names}", names=", ".join(started))] if started else []
        parts += [_("woken or restarted {names}", names=", ".join(revived))] if revived else []
        both = len(parts) > 1
        done(_("{first}; {second}", first=parts[0], second=parts[1]) if both else [*parts, _("all running")][0])
    with tell.stage(_("acceleration")) as done:
        facts = machine.facts()
        done(_("KVM") if facts.accel == "kvm" else _("no usable KVM; instances are emulated (slower)"))
