"""The kinds by name."""

from __future__ import annotations

from typing import Any, cast

from yun.base.errors import Invalid
from yun.base.messages import _
from yun.functions.kinds import KindOf, firewall, proxy, vpn

KNOWN: dict[str, KindOf] = {
    "firewall": cast(KindOf, firewall), "proxy": cast(KindOf, proxy), "vpn": cast(KindOf, vpn)
}  # fmt: skip


def kind_named(kind: Any) -> KindOf:
    """What a kind knows. Raises `Invalid` for one that there is not."""
    if not isinstance(kind, str) or kind not in KNOWN:
        raise Invalid(
            _("There is no such kind of function."), fields={"kind": _("one of {names}", names=", ".join(KNOWN))}
        )
    return KNOWN[kind]
