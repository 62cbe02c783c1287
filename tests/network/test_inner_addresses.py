"""An address of a port to which something leads from outside stays the port's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.network.conftest import Asking, Do
from yun.base.errors import Conflict
from yun.network import service
from yun.network.model import Port
from yun.network.service import NewForwarding

pytestmark = pytest.mark.usefixtures("cloud")


def test_what_a_floating_ip_or_a_forwarding_leads_to_is_not_taken_off(
    do: Do, plugged: Callable[..., Port], asking: Asking
) -> None:
    port = plugged("web")
    for address in ("10.77.0.91", "10.77.0.92"):
        do(lambda ctx, a=address: service.add_address(ctx, service.get_port(ctx, port.id), a))
    do(lambda ctx: service.allocate(ctx, "172.31.240.50"))
    do(lambda ctx: service.associate(
        ctx, service.get_floating_ip(ctx, "172.31.240.50"), service.get_port(ctx, port.id), "10.77.0.91"
    ))  # fmt: skip
    do(lambda ctx: service.create_forwarding(ctx, NewForwarding(port.id, 8080, inner_address="10.77.0.92")))
    with asking() as ctx:
        for address, why in (("10.77.0.91", "172.31.240.50"), ("10.77.0.92", "TCP 8080")):
            with pytest.raises(Conflict) as caught:
                service.remove_address(ctx, service.get_port(ctx, port.id), address)
            assert why in str(caught.value)
