"""Steps of network cards: in the definition, in the seed, and in the running machine."""

from __future__ import annotations

from yun.base.errors import Conflict
from yun.base.messages import _
from yun.compute.model import Instance
from yun.compute.service.room import need_of_card
from yun.compute.steps.definition import define_back, define_now, write_seed
from yun.compute.steps.disks import UNDO_SECONDS, UP
from yun.compute.steps.removal import LOOK_EVERY
from yun.compute.steps.room import note_places, takes
from yun.compute.steps.shared import load, place
from yun.drivers.hypervisor.port import Hypervisor, NicSpec, Power
from yun.hosts.model import Host
from yun.network.model import Network, Port
from yun.network.service import ports_of
from yun.network.spec import nic_of
from yun.operations.flow import Op, step

FLAP_SECONDS = 1.0


def _settle(op: Op, instance_id: str) -> None:
    """Definition and seed are as the rows say, and so are the cables of what runs."""
    define_now(op, instance_id)
    _settle_beside(op, instance_id)


def _settle_beside(op: Op, instance_id: str) -> None:
    write_seed.call(op, instance_id)
    row, hypervisor = place(op, instance_id)
    plugged = hypervisor.nics(row.uuid)
    for nic in cards(op, instance_id).values():
        if nic.mac in plugged and plugged[nic.mac].link_up is not nic.link_up:
            hypervisor.set_link(row.uuid, nic.mac, nic.link_up)


def _settle_after_undo(op: Op, output: object, instance_id: str, moved: str | None = None) -> None:
    define_back(op, instance_id)
    _settle_beside(op, instance_id)
    note_places(op, instance_id)
    if moved is not None:
        _flap(op, instance_id, moved)


@step(undo=_settle_after_undo)
def before_cards(op: Op, instance_id: str, moved: str | None = None) -> None:
    """Nothing yet. Stands before steps that change cards, so that undo settles the machine after those were taken
    back; ``moved`` is the port that changes its network, whose guest then has to ask for an address anew."""


@step()
def settle_cards(op: Op, instance_id: str, moved: str | None = None) -> str:
    """The machine's cards are as the rows say: ``live`` where it runs, else ``next``. The card of ``moved`` has its
    cable pulled for a moment, so that its guest asks for an address in the other network."""
    _settle(op, instance_id)
    if moved is not None:
        _flap(op, instance_id, moved)
    row, hypervisor = place(op, instance_id)
    return "live" if hypervisor.state(row.uuid).power in UP else "next"


def _pull(op: Op, output: object, instance_id: str, port_id: str) -> None:
    row, hypervisor = place(op, instance_id)
    nic = cards(op, instance_id).get(port_id)
    if nic is not None:
        unplug_card(op, hypervisor, row, nic, UNDO_SECONDS)


@step(undo=_pull)
def plug_card(op: Op, instance_id: str, port_id: str) -> str:
    """The definition has the card, and so has the machine if it runs and takes it now: ``live`` or ``next``."""
    define_now(op, instance_id)
    write_seed.call(op, instance_id)
    row, hypervisor = place(op, instance_id)
    nic = cards(op, instance_id).get(port_id)
    live = nic is not None and takes(hypervisor, row, need_of_card(nic.model), nic.mac)
    if live and nic is not None:
        hypervisor.attach_nic(row.uuid, nic)
    note_places(op, instance_id)
    return "live" if live else "next"


def _plug_back(op: Op, output: object, instance_id: str, port_id: str, seconds: float) -> None:
    row, hypervisor = place(op, instance_id)
    nic = cards(op, instance_id).get(port_id)
    if nic is not None and output != "next" and takes(hypervisor, row, need_of_card(nic.model), nic.mac):
        hypervisor.attach_nic(row.uuid, nic)


@step(undo=_plug_back, retries=2)
def pull_card(op: Op, instance_id: str, port_id: str, seconds: float) -> str:
    """A running guest has let go of the card: ``live``; ``next`` where the machine does not run.

    Raises `Conflict` where the guest keeps it for ``seconds``; it is plugged in as before then.
    """
    row, hypervisor = place(op, instance_id)
    nic = cards(op, instance_id).get(port_id)
    if nic is None or hypervisor.state(row.uuid).power not in UP:
        return "next"
    with op.read() as session:
        if session.get_one(Port, port_id).waits:
            return "next"
    unplug_card(op, hypervisor, row, nic, seconds)
    note_places(op, instance_id, leaving=True)
    return "live"


def unplug_card(op: Op, hypervisor: Hypervisor, row: Instance, nic: NicSpec, seconds: float) -> None:
    """Ask the guest for a card until it has let go of it. Raises `Conflict` after ``seconds``: the hypervisor's answer
    proves nothing, so the card is looked for."""
    end = op.clock.monotonic() + seconds
    asked = False
    while nic.mac in hypervisor.nics(row.uuid):
        if op.clock.monotonic() >= end:
            paused = hypervisor.state(row.uuid).power == Power.PAUSED
            raise Conflict(
                _("The guest did not let go of the card {mac} within {seconds:.0f} s.", mac=nic.mac, seconds=seconds),
                hint=_("It is paused; resume it.") if paused else _("Wait until it has booted, or stop the instance."),
            )
        if not asked:
            hypervisor.detach_nic(row.uuid, nic.mac)
            asked = True
        if op.undoing is None:
            op.progress(0.5, _("Waiting for the guest to let go of the card {mac}", mac=nic.mac))
        op.sleep(LOOK_EVERY)


def cards(op: Op, instance_id: str) -> dict[str, NicSpec]:
    """The instance's cards as the rows say, by port."""
    with op.read() as session:
        row = load(session, instance_id)
        host = session.get_one(Host, row.host_id)
        return {p.id: nic_of(p, session.get_one(Network, p.network_id), host) for p in ports_of(session, instance_id)}


def _flap(op: Op, instance_id: str, port_id: str) -> None:
    row, hypervisor = place(op, instance_id)
    with op.read() as session:
        port = session.get(Port, port_id)
    if port is None or not port.link_up or port.mac not in hypervisor.nics(row.uuid):
        return
    hypervisor.set_link(row.uuid, port.mac, False)
    op.sleep(FLAP_SECONDS)
    hypervisor.set_link(row.uuid, port.mac, True)
