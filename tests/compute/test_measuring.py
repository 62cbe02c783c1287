"""What machines use: counters become rates, the history stays short."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.compute.conftest import Lab, both
from yun.compute import service
from yun.compute.model import InstanceSample
from yun.compute.service.metrics import ROWS, interval
from yun.compute.steps.measuring import sample
from yun.drivers.hypervisor.port import DomainStats
from yun.operations.intent import Subject

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = DomainStats(
    cpu_ns=10**9, vcpus=2, memory_kib=1024, memory_used_kib=512, disk_read_bytes=100, disk_write_bytes=200,
    net_rx_bytes=300, net_tx_bytes=400,
)  # fmt: skip


def row(stats: DomainStats, at: datetime) -> InstanceSample:
    return InstanceSample(**sample("ins_1", at, stats, None))


def test_rates_are_the_difference_to_the_measurement_before() -> None:
    later = replace(FIRST, cpu_ns=16 * 10**9, disk_read_bytes=1100, net_tx_bytes=2400)
    found = sample("ins_1", NOW + timedelta(seconds=10), later, row(FIRST, NOW))
    assert found["cpu"] == pytest.approx(1.5)
    assert (found["disk_read"], found["disk_write"], found["net_rx"], found["net_tx"]) == (100.0, 0.0, 0.0, 200.0)


def test_the_first_measurement_and_one_after_a_restart_have_no_rates() -> None:
    assert sample("ins_1", NOW, FIRST, None)["cpu"] is None
    restarted = replace(FIRST, cpu_ns=5)
    assert sample("ins_1", NOW + timedelta(seconds=10), restarted, row(FIRST, NOW))["cpu"] is None


def test_a_clock_that_jumped_back_gives_no_nonsense() -> None:
    assert sample("ins_1", NOW - timedelta(seconds=10), FIRST, row(FIRST, NOW))["net_rx"] is None


def test_very_many_machines_are_measured_less_often() -> None:
    assert interval(10.0, 20) == 10.0
    assert 3600 / interval(10.0, 10_000) * 10_000 <= ROWS


@both
def test_measurements_make_a_history_and_old_ones_are_forgotten(lab: Lab) -> None:
    lab.create()
    lab.create("off", start=False)
    for age in (7200, 20):
        lab.cloud.engine.nudge("instance.sample", Subject("periodic", "instance.sample"))
        lab.drain()
        with lab.database.write() as session:
            for found in session.query(InstanceSample).order_by(InstanceSample.at.desc()).limit(1):
                values = {c.name: getattr(found, c.name) for c in InstanceSample.__table__.columns}
                session.delete(found)
                session.flush()
                session.add(InstanceSample(**{**values, "at": found.at - timedelta(seconds=age)}))
    lab.cloud.engine.nudge("instance.sample", Subject("periodic", "instance.sample"))
    lab.drain()
    assert len(lab.rows(InstanceSample)) == 2, "the one of two hours ago is gone"
    with lab.asking() as ctx:
        found = service.metrics(ctx, service.get(ctx, "web"))
        assert found["now"]["cpu"] is not None
        identifier = found["instance_id"]
        assert len(service.histories(ctx.session, [identifier], ctx.clock.now())[identifier]) == 2
        assert service.latest(ctx.session, [identifier], ctx.clock.now())[identifier].cpu is not None
        assert service.metrics(ctx, service.get(ctx, "off"))["now"] is None
