"""The verbs of physical networks, and what a network on one may be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Invalid
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.base.paging import Page, paginate
from yun.hosts import service as hosts
from yun.hosts.model import Host
from yun.network import checks
from yun.network.model import TRASHED, FloatingIp, Network, PhysicalNetwork, Router, RouterInterface
from yun.network.service import look
from yun.operations.intent import Intent, Key, Subject

NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?")
LINK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
DEFAULT = "physnet1"
COLUMNS = ("id", "name", "host_id", "bridge", "interface", "description")
MOST_MTU, USUAL_MTU = 9000, 1500


@dataclass(frozen=True)
class NewPhysical:
    """A physical network to be described: by which bridge ``host`` (None: this one) reaches it; ``interface`` is the
    card that is put into the bridge."""

    name: str
    bridge: str
    interface: str = ""
    host: str | None = None
    description: str = ""


def list_physical(ctx: Context, *, cursor: str | None = None, limit: int = 100) -> Page[PhysicalNetwork]:
    """A page of the described ones, by name."""
    ctx.may("physical_network.list")
    sorts = {"name": PhysicalNetwork.name}
    return paginate(
        ctx.session, sa.select(PhysicalNetwork), sorts=sorts, key=PhysicalNetwork.id, sort="name", cursor=cursor,
        limit=limit,
    )  # fmt: skip


def get_physical(ctx: Context, reference: str) -> PhysicalNetwork:
    """One by id, or by a name that one host alone has. Raises `NotFound`, `Conflict`."""
    ctx.may("physical_network.show")
    clean = reference.replace("\0", "�")
    query = sa.select(PhysicalNetwork).where(sa.or_(PhysicalNetwork.id == clean, PhysicalNetwork.name == clean))
    found = list(ctx.session.scalars(query.limit(2)))
    if not found:
        raise not_found("physical_network", clean[:60])
    if len(found) > 1:
        raise Conflict(_("{reference} fits several things.", reference=clean[:60]), hint=_("Name its id."))
    return found[0]


def create_physical(ctx: Context, new: NewPhysical) -> Intent:
    """The host reaches the physical network by the bridge. Raises `Invalid` naming fields, `Conflict` where the host
    reaches it already or the bridge leads elsewhere."""
    ctx.may("physical_network.create")
    host = hosts.get(ctx, new.host) if new.host else hosts.local_host(ctx.session)
    row = PhysicalNetwork(
        id=new_id(PhysicalNetwork.PREFIX), name=_matching(new.name, NAME, "name"), host_id=host.id,
        bridge=_matching(new.bridge, LINK, "bridge"),
        interface=_matching(new.interface, LINK, "interface") if new.interface.strip() else "",
        description=checks.description(new.description),
    )  # fmt: skip
    _refuse_known(ctx.session, row)

    def write(session: Session) -> None:
        _refuse_known(session, row)
        session.add(row)
        session.flush()

    effects = [_("The host {host} reaches {name} by the bridge {bridge}.", host=host.name, name=row.name,
                 bridge=row.bridge)]  # fmt: skip
    if row.interface:
        effects.append(_("The card {card} is put into it: what the host itself does by it stops.", card=row.interface))
    return Intent(
        kind="physical_network.create",
        title=_("Describe the physical network {name} of host {host}", name=row.name, host=host.name),
        subject=Subject("physical_network", row.id, row.name),
        arguments={"values": _values(row)},
        keys=_keys(row),
        effects=tuple(effects),
        write=write,
    )


def delete_physical(ctx: Context, row: PhysicalNetwork) -> Intent:
    """The host does not reach it any more. Raises `Conflict` naming the networks that are on it, unless another host
    reaches it still."""
    ctx.may("physical_network.delete")
    _refuse_networks(ctx.session, row)
    host = ctx.session.get(Host, row.host_id)
    return Intent(
        kind="physical_network.delete",
        title=_("Forget the physical network {name} of host {host}", name=row.name, host=host.name if host else "–"),
        subject=Subject("physical_network", row.id, row.name),
        arguments={"values": _values(row)},
        keys=_keys(row),
        effects=(
            _("The host {host} does not reach {name} any more; a bridge that the cloud made for it goes.",
              host=host.name if host else "–", name=row.name),
        ),
    )  # fmt: skip


def _values(row: PhysicalNetwork) -> dict[str, Any]:
    return {name: getattr(row, name) for name in COLUMNS}


def _keys(row: PhysicalNetwork) -> tuple[Key, ...]:
    return (Key(f"physical_network:{row.id}"), Key(f"mappings:{row.host_id}"))


def _matching(text: str, pattern: re.Pattern[str], field: str) -> str:
    clean = text.strip()
    if not pattern.fullmatch(clean):
        right = _("1 to 64 small letters, digits, - and _") if field == "name" else _("the name of a network link")
        raise checks.refuse(field, _("{value} cannot be used here.", value=clean[:60] or "–"), right)
    return clean


def _refuse_known(session: Session, row: PhysicalNetwork) -> None:
    if row.name == DEFAULT:
        raise checks.refuse("name", _("{name} is the cloud's own way out.", name=DEFAULT), _("another name"))
    query = sa.select(PhysicalNetwork).where(PhysicalNetwork.host_id == row.host_id, PhysicalNetwork.id != row.id)
    for other in session.scalars(query):
        if other.name == row.name:
            raise Conflict(
                _("The host reaches {name} by the bridge {bridge} already.", name=row.name, bridge=other.bridge),
                fields={"name": _("another name")},
            )
        if other.bridge == row.bridge:
            raise Conflict(
                _("The bridge {bridge} leads to {name} already.", bridge=row.bridge, name=other.name),
                fields={"bridge": _("another bridge")},
            )


def _refuse_networks(session: Session, row: PhysicalNetwork) -> None:
    others = sa.select(PhysicalNetwork.id).where(PhysicalNetwork.name == row.name, PhysicalNetwork.id != row.id)
    if session.scalar(others.limit(1)) is not None:
        return
    names = list(session.scalars(sa.select(Network.name).where(Network.physical == row.name).order_by(Network.name)))
    if names:
        raise Conflict(
            _("{name} is in use by networks: {names}.", name=row.name, names=", ".join(names[:5])),
            hint=_("Delete them first, and purge those in the trash."),
        )


# ── networks on a physical one ──


def physical_names(ctx: Context) -> list[str]:
    """What networks may be put on: the cloud's own way out, and the described ones."""
    return sorted({DEFAULT, *ctx.session.scalars(sa.select(PhysicalNetwork.name))})


def check_place(ctx: Context, physical: str, vlan: int | None) -> tuple[str, int | None]:
    """Physical network and VLAN tag of a network. Raises `Invalid` for an unknown one or a wrong tag, `Conflict` where
    another network is there."""
    ctx.may("network.provide")
    known = physical_names(ctx)
    if physical not in known:
        raise Invalid(
            _("No host reaches a physical network {name}.", name=physical[:60]),
            fields={"physical": _("one of {names}", names=", ".join(known))},
        )
    tag = checks.number(vlan, 1, 4094, "vlan")
    same = Network.vlan.is_(None) if tag is None else Network.vlan == tag
    other = ctx.session.scalar(sa.select(Network).where(Network.physical == physical, same).limit(1))
    if other is not None:
        hint = _("It lies in the trash: purge it, or undo its deletion.") if other.state == TRASHED else None
        raise Conflict(
            _("The network {name} is there already.", name=other.name), hint=hint,
            fields={"vlan": _("another tag, 1 to 4094")},
        )  # fmt: skip
    return physical, tag


def hosts_apart(session: Session, networks: Iterable[Network]) -> dict[str, Message]:
    """Host id → what it lacks: a physical network that one of the networks is on, and that nobody described for it."""
    wanted = sorted({n.physical for n in networks if n.physical is not None and n.physical != DEFAULT})
    found: dict[str, Message] = {}
    for name in wanted:
        reached = sa.select(PhysicalNetwork.host_id).where(PhysicalNetwork.name == name)
        for host_id in session.scalars(sa.select(Host.id).where(Host.id.not_in(reached))):
            found.setdefault(host_id, _("it does not reach the physical network {name}", name=name))
    return found


def refuse_apart(session: Session, network: Network, host_id: str | None) -> None:
    """Raise `Conflict` where a machine of the host cannot be on the network; names the physical network."""
    if host_id is not None and host_id in hosts_apart(session, [network]):
        host = session.get_one(Host, host_id)
        raise Conflict(
            _("The host {host} does not reach the physical network {physical} of {network}.", host=host.name,
              physical=network.physical, network=network.name),
            hint=_("An administrator describes how it does: yun physical-network create."),
            fields={"network": _("a network that the host reaches")},
        )  # fmt: skip


def refuse_way_out(session: Session, network: Network, *, deleting: bool) -> None:
    """Raise `Conflict` where the network is the cloud's own way to the outside, or (``deleting``) routers and floating
    IPs still use it; names them."""
    if not network.external:
        return
    first = look.external_network(session)
    if first is not None and first.id == network.id:
        raise Conflict(_("{name} is the cloud's way to the outside; its ranges are settings.", name=network.name))
    if not deleting:
        return
    legs = sa.select(RouterInterface.router_id).where(RouterInterface.network_id == network.id)
    routers = list(session.scalars(sa.select(Router.name).where(Router.id.in_(legs)).limit(5)))
    addresses = list(
        session.scalars(sa.select(FloatingIp.address).where(FloatingIp.network_id == network.id).limit(5))
    )
    if routers or addresses:
        raise Conflict(
            _("{name} is in use by: {names}.", name=network.name, names=", ".join([*routers, *addresses])),
            hint=_("Take the routers' gateways off it and release the floating IPs first."),
        )
