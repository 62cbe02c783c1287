"""The verbs of DNS records: names of a network beside those of its machines."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Invalid
from yun.base.ids import new_id
from yun.base.messages import _
from yun.base.paging import Page, paginate
from yun.network import checks
from yun.network.model import DnsRecord, Network, Port, Subnet
from yun.network.service import look
from yun.network.service.networks import reach, tenancy, tenant
from yun.network.service.rights import may_change
from yun.operations.intent import Intent, Subject

KINDS = {4: "A", 6: "AAAA"}
MOST = 500
COLUMNS = ("id", "network_id", "project_id", "name", "kind", "address")


def records_of(session: Session, network_id: str) -> list[DnsRecord]:
    """The network's own records, by name."""
    query = sa.select(DnsRecord).where(DnsRecord.network_id == network_id)
    return list(session.scalars(query.order_by(DnsRecord.name, DnsRecord.kind, DnsRecord.address)))


def list_records(ctx: Context, network: Network, *, cursor: str | None = None, limit: int = 100) -> Page[DnsRecord]:
    """A page of the network's own records, by name."""
    ctx.may("dns_record.list", network.project_id)
    query = sa.select(DnsRecord).where(DnsRecord.network_id == network.id)
    sorts = {"name": DnsRecord.name}
    return paginate(ctx.session, query, sorts=sorts, key=DnsRecord.id, sort="name", cursor=cursor, limit=limit)


def get_record(ctx: Context, identifier: str) -> DnsRecord:
    """A record by its id. Raises `NotFound`."""
    found = ctx.session.get(DnsRecord, identifier) if "\0" not in identifier else None
    if found is None or not ctx.sees(found.project_id):
        raise not_found("dns_record", identifier.replace("\0", "�")[:60])
    ctx.may("dns_record.show", found.project_id)
    return found


def full_names(record: DnsRecord, domains: list[str]) -> list[str]:
    """The names under which the record is found."""
    return [record.name] if "." in record.name else [record.name, *(f"{record.name}.{d}" for d in domains)]


def answers(session: Session, network: Network, subnets: Sequence[Subnet]) -> dict[str, str]:
    """Name → addresses between spaces, of the network's own records; ``subnets`` are its living ones."""
    listed = (network.domain, *(s.domain for s in subnets))
    domains = list(dict.fromkeys(d for d in listed if d))
    found: dict[str, list[str]] = {}
    for record in records_of(session, network.id):
        for name in full_names(record, domains):
            found.setdefault(name, []).append(record.address)
    return {name: " ".join(addresses) for name, addresses in found.items()}


def create_record(ctx: Context, network: Network, name: str, address: str, kind: str = "") -> Intent:
    """The network answers the name with the address. ``kind`` may say A or AAAA, and must then be the address's.
    Raises `Invalid` naming fields, `Conflict` where a machine has the name or the record is there."""
    may_change(ctx, "dns_record.create", network)
    look.must_allow_state(network)
    clean = checks.record_name(name)
    found = _address(address, kind)
    session = ctx.session
    record = DnsRecord(
        id=new_id(DnsRecord.PREFIX), network_id=network.id, project_id=network.project_id, name=clean,
        kind=KINDS[ipaddress.ip_address(found).version], address=found,
    )  # fmt: skip
    _refuse_known(session, network, record)

    def write(into: Session) -> None:
        _refuse_known(into, network, record)
        into.add(record)
        into.flush()

    keys, targets = reach(network.id)
    return Intent(
        kind="dns_record.create",
        title=_("Create the DNS record {name} {kind} {address} in {network}", name=clean, kind=record.kind,
                address=found, network=network.name),
        subject=Subject("dns_record", record.id, clean),
        subjects=(tenant(network.id),),
        project_id=network.project_id,
        arguments={"record_id": record.id, "targets": targets},
        keys=keys,
        effects=(
            _("Machines of {network} that ask for {name} get {address}.", network=network.name, name=clean,
              address=found),
        ),
        write=write,
    )  # fmt: skip


def delete_record(ctx: Context, record: DnsRecord) -> Intent:
    """The network answers the name with this address no more."""
    network = ctx.session.get_one(Network, record.network_id)
    may_change(ctx, "dns_record.delete", network)
    keys, targets = reach(network.id)
    return Intent(
        kind="dns_record.delete",
        title=_("Delete the DNS record {name} {kind} {address} in {network}", name=record.name, kind=record.kind,
                address=record.address, network=network.name),
        subject=Subject("dns_record", record.id, record.name),
        subjects=(tenancy(network.id),),
        project_id=network.project_id,
        arguments={"values": {n: getattr(record, n) for n in COLUMNS}, "targets": targets},
        keys=keys,
        effects=(
            _("Machines of {network} that ask for {name} do not get {address} any more.", network=network.name,
              name=record.name, address=record.address),
        ),
    )  # fmt: skip


def _address(text: str, kind: str) -> str:
    wanted = kind.strip().upper()
    if wanted and wanted not in KINDS.values():
        raise Invalid(
            _("Networks answer no records of the kind {kind}: OVN knows addresses and reverse names only.",
              kind=kind[:20]),
            fields={"kind": _("A or AAAA")},
        )  # fmt: skip
    found = checks.address(text, "address")
    if wanted and KINDS[found.version] != wanted:
        right = _("an {family} address", family="IPv4" if wanted == "A" else "IPv6")
        raise checks.refuse("address", _("{address} is of the other family.", address=str(found)), right)
    return str(found)


def _refuse_known(session: Session, network: Network, record: DnsRecord) -> None:
    """Raise `Conflict` where a machine has the name, or the record is there, or there are too many."""
    label, _dot, rest = record.name.partition(".")
    if not rest or rest == network.domain:
        port = sa.select(Port.id).where(Port.network_id == network.id, sa.func.lower(Port.hostname) == label)
        if session.scalar(port.limit(1)) is not None:
            raise Conflict(
                _("{name} is the name of a machine in {network}.", name=record.name, network=network.name),
                fields={"name": _("a name that no machine has")},
            )
    mine = records_of(session, network.id)
    if any((r.name, r.address) == (record.name, record.address) and r.id != record.id for r in mine):
        raise Conflict(
            _("{network} answers {name} with {address} already.", network=network.name, name=record.name,
              address=record.address),
            fields={"name": _("another name, or another address")},
        )  # fmt: skip
    if len(mine) >= MOST:
        raise Conflict(
            _("{network} has {most} records of its own, which is the most.", network=network.name, most=MOST)
        )
