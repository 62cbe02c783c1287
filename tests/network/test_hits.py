"""The hits of a security group: noted for a while, read from hosts once each, ended by themselves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.network.conftest import Asking, Do
from yun.base.context import Actor
from yun.base.db import Database
from yun.base.errors import Conflict, Forbidden, Invalid
from yun.drivers.host import hits as lines
from yun.drivers.host.fake import FakeMachine
from yun.drivers.host.port import Hit
from yun.drivers.network.fake import World
from yun.network import service
from yun.network.model import Port, SecurityGroup
from yun.network.service import hits
from yun.operations import service as operations
from yun.operations.engine import Engine
from yun.operations.intent import Subject

pytestmark = pytest.mark.usefixtures("cloud")
WRITTEN = (
    '2026-11-30T19:00:01.250Z|00012|acl_log(ovn_pinctrl0)|INFO|name="sru_1", verdict=allow, severity=info, '
    "direction=to-lport: tcp,vlan_tci=0x0000,dl_src=52:54:00:00:00:01,dl_dst=52:54:00:00:00:02,nw_src=10.77.0.2,"
    "nw_dst=10.77.0.3,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no,tp_src=40000,tp_dst=22,tcp_flags=syn\n"
    "2026-11-30T19:00:02.000Z|00013|binding|INFO|Claiming lport\n"
    '2026-11-30T19:00:03.000Z|00014|acl_log(ovn_pinctrl0)|INFO|name="sgr_1", verdict=drop, severity=info, '
    "direction=from-lport: icmp6,vlan_tci=0x0000,ipv6_src=fd00::2,ipv6_dst=fd00::3,icmp_type=128,icmp_code=0\n"
    '2026-11-30T19:00:04.000Z|00015|acl_log(ovn_pinctrl0)|INFO|name="stranger", verdict=drop, severity=info, '
    "direction=from-lport: udp,nw_src=1.2.3.4,nw_dst=1.2.3.5,tp_src=1,tp_dst=2\n"
)


def test_the_controllers_lines_are_read_by_name_and_moment(tmp_path: Path) -> None:
    file = tmp_path / "log"
    assert lines.read({"sru_1"}, datetime.min.replace(tzinfo=UTC), file) == []
    file.write_text(WRITTEN)
    start = datetime(2026, 11, 30, 19, tzinfo=UTC)
    found = lines.read({"sru_1", "sgr_1"}, start, file)
    assert [(h.name, h.allowed, h.direction, h.protocol, h.source, h.target_port) for h in found] == [
        ("sru_1", True, "ingress", "tcp", "10.77.0.2", 22), ("sgr_1", False, "egress", "icmp", "fd00::2", None),
    ]  # fmt: skip
    assert lines.read({"sru_1", "sgr_1"}, found[0].at, file) == found[1:]


@pytest.fixture
def read(engine: Engine) -> Callable[[], None]:
    def now() -> None:
        engine.nudge("security_group.read_log", Subject("network", "cloud"))
        engine.drain()

    return now


def noted(asking: Asking) -> dict[str, Any]:
    with asking() as ctx:
        return hits.hits(ctx, service.get_group(ctx, "default"))


def start(do: Do, minutes: int = 10) -> Any:
    return do(lambda ctx: hits.log_group(ctx, service.get_group(ctx, "default"), minutes))


def test_hits_are_counted_once_with_samples_and_end_by_themselves(
    do: Do, asking: Asking, read: Callable[[], None], machine: FakeMachine, world: World, database: Database,
    plugged: Callable[..., Port],
) -> None:  # fmt: skip
    plugged("one")
    start(do)
    with asking() as ctx:
        group = service.get_group(ctx, "default")
        rule = next(r for r in service.rules_of(ctx.session, group.id) if r.port_min == 22)
    assert world.groups[group.id].logged
    assert {r.id for r in world.groups[group.id].rules} >= {rule.id}
    now = datetime.now(UTC)
    machine.noted = [
        Hit(rule.id, now + timedelta(seconds=n), True, "ingress", "tcp", "10.0.0.9", "10.77.0.2", 40000 + n, 22)
        for n in range(30)
    ]
    machine.noted.append(Hit(group.id, now, False, "ingress", "tcp", "10.0.0.9", "10.77.0.2", 4, 443))
    read()
    read()
    found = noted(asking)
    assert found["until"] is not None
    assert [(h["text"].render("en"), h["count"]) for h in found["hits"]] == [
        ("TCP 22 from anybody", 30), ("dropped: no rule allows it", 1)
    ]  # fmt: skip
    assert len(found["hits"][0]["samples"]) == 20
    assert found["hits"][0]["samples"][0]["source_port"] == 40029
    with database.write() as session:
        session.get_one(SecurityGroup, group.id).log_until = now - timedelta(minutes=1)
    read()
    assert not world.groups[group.id].logged
    assert noted(asking)["until"] is None
    assert noted(asking)["hits"][0]["count"] == 30


def test_it_is_stopped_and_undone_and_started_anew_without_what_was_noted(
    do: Do, asking: Asking, world: World, machine: FakeMachine
) -> None:
    start(do)
    with asking() as ctx:
        group = service.get_group(ctx, "default")
    machine.noted = [Hit(group.id, datetime.now(UTC), False, "egress", "udp", "a", "b", 1, 2)]
    do(lambda ctx: hits.stop_log(ctx, service.get_group(ctx, "default")))
    assert not world.groups[group.id].logged
    assert noted(asking)["hits"][0]["count"] == 1, "what came until the end is read before it ends"
    machine.noted = []
    again = start(do)
    assert noted(asking)["hits"] == []
    do(lambda ctx: operations.undo(ctx, again.id))
    assert not world.groups[group.id].logged
    with asking() as ctx, pytest.raises(Conflict):
        hits.stop_log(ctx, service.get_group(ctx, "default"))


def test_only_administrators_of_the_project_see_with_whom_its_machines_talk(
    asking: Asking, projects: tuple[str, str]
) -> None:
    member = Actor("user", "u", "u", {projects[0]: "member"})
    with asking(member) as ctx:
        group = service.get_group(ctx, "default")
        for verb in (hits.hits, hits.log_group):
            with pytest.raises(Forbidden):
                verb(ctx, group)


@pytest.mark.parametrize("minutes", [0, -1, 61, 10**9])
def test_how_long_is_bounded(minutes: int, asking: Asking) -> None:
    with asking() as ctx, pytest.raises(Invalid) as caught:
        hits.log_group(ctx, service.get_group(ctx, "default"), minutes)
    assert set(caught.value.fields) == {"minutes"}


def test_a_host_that_cannot_be_reached_keeps_nobody_else_waiting(
    do: Do, read: Callable[[], None], engine: Engine, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yun.base.errors import DriverError
    from yun.base.messages import _

    start(do)

    def away(self: FakeMachine, names: Any, since: Any) -> Any:
        raise DriverError(_("away"), retryable=True)

    monkeypatch.setattr(FakeMachine, "hits", away)
    read()
    assert noted(asking)["until"] is not None
