"""Tables of network functions: what each shall do, and what it last told of itself."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.messages import Message, _
from yun.base.permissions import declare

declare(
    "function", list="reader", show="reader", create="member", update="member", delete="member", refresh="member",
    client_config="member",
)  # fmt: skip


class Kind(StrEnum):
    """What a function can be."""

    FIREWALL = "firewall"
    PROXY = "proxy"
    VPN = "vpn"


KINDS: dict[str, Message] = {
    Kind.FIREWALL: _("Firewall"),
    Kind.PROXY: _("Reverse proxy"),
    Kind.VPN: _("VPN gateway"),
}

FAULTS: dict[str, Message] = {
    "silent": _("its guest agent does not answer"),
    "strange": _("its guest does not tell what a function tells"),
    "stands": _("what it is to do does not run"),
    "refused": _("its guest refused the configuration"),
}
"""Why nothing new is known of a function, or why it does not do what it shall, by the word that its row keeps."""


NOUNS = (_("function"), _("network function"))
"""What one is called among other things: as a reference, and as what a project holds."""
HEALTHS = (_("working"), _("outdated"), _("silent"), _("faulty"), _("waiting"), _("off"))
"""How a function does, in a word."""


class NetworkFunction(Row, Base):
    """What an instance shall do as a function: ``settings`` as its ``kind`` checks them (`functions.kinds`).

    ``secret`` is the private key of a VPN gateway, ``public_key`` the one that its peers know; empty for others.
    It goes with its instance.
    """

    PREFIX = "fnc"
    __tablename__ = "network_function"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"), index=True)
    instance_id: Mapped[str] = mapped_column(sa.ForeignKey("instance.id", ondelete="CASCADE"), unique=True)
    kind: Mapped[str] = mapped_column(sa.String(20))
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    public_key: Mapped[str] = mapped_column(sa.String(60), default="")
    secret: Mapped[str] = mapped_column(sa.Text, default="", deferred=True)


class FunctionState(Base):
    """What a function last told.

    ``asked_at`` is when it was last asked, ``seen_at`` when it last answered; ``digest`` names the configuration that
    is in force in it, ``fault`` (a word of `FAULTS`, or empty) what is wrong, ``facts`` what its kind reads of it.
    """

    __tablename__ = "network_function_state"

    function_id: Mapped[str] = mapped_column(
        sa.ForeignKey("network_function.id", ondelete="CASCADE"), primary_key=True
    )
    asked_at: Mapped[datetime] = mapped_column(index=True)
    seen_at: Mapped[datetime | None]
    digest: Mapped[str] = mapped_column(sa.String(64), default="")
    fault: Mapped[str] = mapped_column(sa.String(20), default="")
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
