"""Steps that keep the cloud's networks in order: the external network, each project's own things, the comparison."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.ids import new_id
from yun.base.log import logger
from yun.hosts.service import local_host
from yun.identity.model import Project
from yun.network import addresses, cards, checks, rows
from yun.network.model import (
    ACTIVE,
    TRASHED,
    AddressSet,
    FloatingIp,
    LoadBalancer,
    Network,
    NetworkDefault,
    Port,
    PortSecurityGroup,
    Router,
    RouterInterface,
    SecurityGroup,
    SecurityRule,
    Subnet,
)
from yun.network.service import look
from yun.network.service.groups import welcoming
from yun.network.service.names import project_domain
from yun.operations.events import emit
from yun.operations.flow import Op, step, tx_step
from yun.operations.intent import Subject
from yun.operations.service import close_undo

log = logger(__name__)
PHYSICAL = "physnet1"
PUBLIC_RESOLVERS = ["9.9.9.9", "1.1.1.1"]
RESOLV_CONF = Path("/etc/resolv.conf")
FORGOTTEN = (
    "port_forwarding", "network_peering", "service_chain", "load_balancer", "floating_ip", "subnet", "network",
    "security_group", "address_set", "router",
)  # fmt: skip
MARGIN = timedelta(hours=1)  # after the undo window, so that an undo that has just begun finds everything


@step()
def examine(op: Op) -> dict[str, Any]:
    """The local host and the name servers that guests get: those of the settings, of the host, else public ones."""
    with op.read() as session:
        host = local_host(session)
    listed = [t.strip() for t in op.settings.dns_upstream.split(",") if t.strip()]
    servers = checks.resolvers(listed, "dns_upstream") if listed else host_resolvers()
    return {"host_id": host.id, "host_name": host.name, "dns_servers": servers or PUBLIC_RESOLVERS}


def host_resolvers(path: Path = RESOLV_CONF) -> list[str]:
    """The IPv4 name servers of this machine that a guest can reach too: not those on its loopback."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    found: list[str] = []
    for words in (line.split() for line in lines):
        if len(words) < 2 or words[0] != "nameserver":
            continue
        try:
            server = ipaddress.ip_address(words[1])
        except ValueError:
            continue
        if server.version == 4 and not (server.is_loopback or server.is_link_local or server.is_unspecified):
            found.append(str(server))
    return list(dict.fromkeys(found))[:4]


@tx_step()
def write_external(op: Op, session: Session, found: dict[str, Any]) -> dict[str, Any]:
    """The external network has its row; its first address is the host's."""
    network = look.external_network(session)
    if network is None:
        network = Network(
            id=new_id("net"), project_id=None, name="external", external=True, physical=PHYSICAL, mtu=1500,
            description="", state=ACTIVE,
        )  # fmt: skip
        session.add(network)
        session.flush()
        rows.tell(session, "network", network.id, "created")
    subnet = next(iter(look.subnets_of(session, network.id)), None)
    if subnet is None:
        net = checks.cidr(op.settings.external_cidr, "external_cidr")
        subnet = _subnet(network, net, "external", found["dns_servers"], dhcp=False)
        session.add(subnet)
        session.flush()
        addresses.take(session, subnet, str(subnet.gateway), ("gateway", subnet.id))
    prefix = ipaddress.ip_network(subnet.cidr).prefixlen
    return {
        "network_id": network.id,
        "cidr": subnet.cidr,
        "gateway": f"{subnet.gateway}/{prefix}",
        "host_id": found["host_id"],
        "host_name": found["host_name"],
    }


def _subnet(network: Network, net: checks.Net, name: str, servers: list[str], *, dhcp: bool) -> Subnet:
    return Subnet(
        id=new_id("sub"), network_id=network.id, project_id=network.project_id, name=name, cidr=str(net),
        gateway=str(net[1]), pool_start=str(net[1]), pool_end=str(checks.last(net)), dns_servers=servers,
        domain="", dhcp=dhcp, lease_seconds=3600, state=ACTIVE,
    )  # fmt: skip


@tx_step()
def write_projects(op: Op, session: Session, outside: dict[str, Any]) -> list[list[str]]:
    """Each project that never had its defaults has them now; returns all default things, for the engine."""
    external = session.get_one(Network, outside["network_id"])
    for project in _newcomers(session):
        _welcome(op, session, project, external, outside["host_id"])
    return everything(session)


@tx_step()
def welcome_projects(op: Op, session: Session) -> list[list[str]]:
    """Projects made since the cloud was set up have their defaults now; returns what is new, for the engine."""
    external = look.external_network(session)
    if external is None:
        return []
    host = local_host(session)
    made: list[list[str]] = []
    for project in _newcomers(session):
        made += _welcome(op, session, project, external, host.id)
    return made


def _newcomers(session: Session) -> list[Project]:
    known = sa.select(NetworkDefault.project_id)
    query = sa.select(Project).where(Project.deleted_at.is_(None), Project.id.not_in(known))
    return list(session.scalars(query.order_by(Project.created_at, Project.id)))


def _welcome(op: Op, session: Session, project: Project, external: Network, host_id: str) -> list[list[str]]:
    """Default security group, network, subnet and router of a project."""
    session.add(NetworkDefault(project_id=project.id))
    session.flush()
    made: list[list[str]] = []
    if _free(session, SecurityGroup, project.id):
        group = SecurityGroup(
            id=new_id("sgr"), project_id=project.id, name="default", description="", is_default=True, state=ACTIVE
        )
        session.add(group)
        session.flush()
        session.add_all(welcoming(group.id))
        rows.tell(session, "security_group", group.id, "created")
        made.append(["group", group.id])
    if _free(session, Network, project.id) and _free(session, Router, project.id):
        made += _welcome_network(op, session, project, external, host_id)
    return made


def _free(session: Session, model: Any, project_id: str) -> bool:
    taken = sa.select(model.id).where(model.project_id == project_id, model.name == "default")
    return session.scalar(taken) is None


def _welcome_network(op: Op, session: Session, project: Project, external: Network, host_id: str) -> list[list[str]]:
    outer = look.subnets_of(session, external.id)[0]
    net = checks.cidr(op.settings.default_cidr, "default_cidr")
    checks.no_overlap(net, [(outer.name, outer.cidr)], "default_cidr")
    network = Network(
        id=new_id("net"), project_id=project.id, name="default", description="", external=False, state=ACTIVE,
        mtu=checks.carried(op.settings.underlay_mtu), domain=project_domain(session, project.id),
    )  # fmt: skip
    router = Router(id=new_id("rtr"), project_id=project.id, name="default", snat=True, host_id=host_id, state=ACTIVE)
    session.add_all([network, router])
    session.flush()
    subnet = _subnet(network, net, "default", list(outer.dns_servers), dhcp=True)
    session.add(subnet)
    session.flush()
    inner = _leg(session, router, subnet, external=False)
    inner.address = f"{subnet.gateway}/{net.prefixlen}"
    addresses.take(session, subnet, str(subnet.gateway), ("gateway", subnet.id))
    way_out = _leg(session, router, outer, external=True)
    address = addresses.take(session, outer, addresses.choose(session, outer), ("router", way_out.id), fixed=False)
    way_out.address = f"{address}/{ipaddress.ip_network(outer.cidr).prefixlen}"
    session.add_all([inner, way_out])
    session.flush()
    rows.tell(session, "network", network.id, "created")
    rows.tell(session, "router", router.id, "created")
    return [["network", network.id], ["router", router.id]]


def _leg(session: Session, router: Router, subnet: Subnet, *, external: bool) -> RouterInterface:
    return RouterInterface(
        id=new_id("rif"), router_id=router.id, network_id=subnet.network_id, subnet_id=subnet.id,
        mac=addresses.new_mac(session), external=external,
    )  # fmt: skip


@step(retries=8)
def open_gateway(op: Op, outside: dict[str, Any]) -> None:
    """The host is the gateway of the external network, and its chassis carries its name."""
    machine = op.drivers.on(outside["host_id"]).machine
    machine.set_chassis_name(outside["host_name"])
    machine.apply_gateway(cidr=outside["cidr"], address=outside["gateway"])


def everything(session: Session, *, ports: bool = False) -> list[list[str]]:
    """What the engine should have: (kind, id)."""
    found: list[list[str]] = []
    for kind, model in (
        ("network", Network), ("set", AddressSet), ("group", SecurityGroup), ("router", Router),
        ("balancer", LoadBalancer),
    ):  # fmt: skip
        found += [[kind, i] for i in session.scalars(sa.select(model.id).where(model.state == ACTIVE))]
    if ports:
        plugged = sa.select(Port.id).where(Port.plugged.is_(True), Port.state != TRASHED)
        found += [["port", i] for i in session.scalars(plugged)]
    return found


# ── the trash ──


@tx_step()
def purge_trash(op: Op, session: Session) -> int:
    """What lay in the trash beyond the undo window is forgotten; returns how many things."""
    before = op.clock.now() - timedelta(days=op.settings.undo_days) - MARGIN
    count = cards.forget_old(session, before)
    for noun in FORGOTTEN:
        model = rows.MODELS[noun]
        old = sa.select(model.id).where(model.state == TRASHED, model.trashed_at < before)
        for identifier in list(session.scalars(old)):
            if _in_use(session, noun, identifier):
                continue
            close_undo(session, noun, identifier)
            rows.forget(session, noun, identifier)
            count += 1
    gone = sa.select(RouterInterface).where(RouterInterface.state == TRASHED, RouterInterface.trashed_at < before)
    for leg in list(session.scalars(gone)):
        rows.forget_leg(session, leg)
        count += 1
    if count:
        emit(session, "network.purged", subject=Subject("network", "cloud"), data={"count": count})
    return count


def _in_use(session: Session, noun: str, identifier: str) -> bool:
    """Whether something still hangs on a thing in the trash (a port in the trash of its instance)."""
    query: Any = {
        "subnet": sa.union(
            sa.select(Port.id).where(Port.subnet_id == identifier),
            sa.select(LoadBalancer.id).where(LoadBalancer.subnet_id == identifier),
        ),
        "network": sa.union(
            sa.select(Port.id).where(Port.network_id == identifier),
            sa.select(LoadBalancer.id).where(LoadBalancer.network_id == identifier),
        ),
        "security_group": sa.select(PortSecurityGroup.port_id).where(PortSecurityGroup.group_id == identifier),
        "address_set": sa.select(SecurityRule.id).where(SecurityRule.remote_set_id == identifier),
        "floating_ip": sa.select(FloatingIp.id).where(
            FloatingIp.id == identifier,
            sa.or_(
                FloatingIp.port_id.is_not(None),
                FloatingIp.id.in_(sa.select(LoadBalancer.floating_ip_id).where(LoadBalancer.floating_ip_id.is_not(None))),
            ),
        ),
    }.get(noun)
    return query is not None and session.scalar(query.limit(1)) is not None
