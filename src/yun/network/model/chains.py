"""Service chains: what a subnet's machines send through a router goes through machines in between, and back."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.permissions import declare
from yun.network.model.states import ACTIVE, Trashable

BLOCK, BYPASS = "block", "bypass"

declare(
    "service_chain", list="reader", show="reader", create="member", update="member", delete="member",
)  # fmt: skip

ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {"service_chain": {"update": (ACTIVE,), "delete": (ACTIVE,)}}


class ServiceChain(Trashable, Row, Base):
    """What goes between the machines of a subnet and the rest of the world by a router passes the chain's hops, in
    their order on the way out and in reverse on the way in.

    ``protocol`` is ``any``, ``tcp`` or ``udp``; with ``port_min`` to ``port_max`` only connections to these ports,
    whoever begins them. ``on_failure``: while a hop does not run, ``block`` lets nothing around it, ``bypass`` leaves
    it out.
    """

    PREFIX = "chn"
    __tablename__ = "service_chain"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"), index=True)
    router_id: Mapped[str] = mapped_column(sa.ForeignKey("router.id"), index=True)
    subnet_id: Mapped[str] = mapped_column(sa.ForeignKey("subnet.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    description: Mapped[str] = mapped_column(sa.String(1000), default="")
    protocol: Mapped[str] = mapped_column(sa.String(10), default="any")
    port_min: Mapped[int | None]
    port_max: Mapped[int | None]
    on_failure: Mapped[str] = mapped_column(sa.String(10), default=BLOCK)

    __table_args__ = (sa.UniqueConstraint("project_id", "name"),)


class ServiceChainHop(Base):
    """A machine in a chain: what leaves the subnet comes in to its inner port and goes on from its outer one; both may
    be the same.

    The ports are named without a reference: a chain whose machine is gone for good still stops what it should have
    passed.
    """

    __tablename__ = "service_chain_hop"

    chain_id: Mapped[str] = mapped_column(sa.ForeignKey("service_chain.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    inner_port_id: Mapped[str] = mapped_column(sa.String(40), index=True)
    outer_port_id: Mapped[str] = mapped_column(sa.String(40), index=True)
