"""Whether a range of addresses is free beside subnets, those in the trash too."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import Invalid
from yun.base.messages import _
from yun.network import checks
from yun.network.model import TRASHED, Network, Subnet
from yun.operations.model import Operation


def refuse_overlap(session: Session, net: checks.Net, subnets: Sequence[Subnet]) -> None:
    """Raise `Invalid` where the range overlaps a subnet's; one that lies in the trash is told, with the way back."""
    for subnet in subnets:
        have = ipaddress.ip_network(subnet.cidr)
        if have.version != net.version or not have.overlaps(net):
            continue
        network = session.get_one(Network, subnet.network_id)
        gone: Network | Subnet | None = next((each for each in (network, subnet) if each.state == TRASHED), None)
        if gone is not None:
            raise Invalid(
                _("The range {cidr} overlaps {other} ({range}), which lies in the trash: its addresses stay taken as "
                  "long as it can be brought back.", cidr=str(net), other=gone.name, range=subnet.cidr),
                hint=_("Bring it back: {command}. Or choose another range until it is removed for good.",
                       command=f"yun undo {_deletion_of(session, gone)}"),
                fields={"cidr": _("a range that is still free")},
            )  # fmt: skip
    checks.no_overlap(net, [(s.name, s.cidr) for s in subnets])


def _deletion_of(session: Session, gone: Network | Subnet) -> str:
    """The id of the operation that put it into the trash."""
    query = sa.select(Operation.id).where(
        Operation.kind == f"{gone.__tablename__}.delete", Operation.subject_id == gone.id
    )
    return session.scalar(query.order_by(Operation.seq.desc()).limit(1)) or ""
