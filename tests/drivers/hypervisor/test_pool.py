"""The workers behind libvirt calls: abandoned work costs a thread and nobody's time."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.drivers.hypervisor.contract import until
from yun.base.errors import DriverError
from yun.drivers.hypervisor.libvirt.errors import OPERATION_TIMEOUT, translate
from yun.drivers.hypervisor.libvirt.look import read_state, read_stats
from yun.drivers.hypervisor.libvirt.pool import MOST_ABANDONED, Job, Pool
from yun.drivers.hypervisor.port import Power


class Wire:
    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


def _hang(pool: Pool, gate: threading.Event) -> Job:
    begun = threading.Event()

    def work(_wire: object) -> bool:
        begun.set()
        return gate.wait(30)

    job = pool.submit(work)
    assert begun.wait(5)
    return job


def test_each_worker_keeps_its_connection_and_gives_it_back() -> None:
    wires: list[Wire] = []

    def connect() -> Wire:
        wires.append(Wire())
        return wires[-1]

    pool = Pool(2, connect)
    for _n in range(5):
        job = pool.submit(lambda wire: wire)
        assert job.wait(5)
        assert job.result() is wires[0]
    pool.close()
    until(lambda: wires[0].closed, 5)


def test_an_abandoned_job_gives_its_place_to_the_next() -> None:
    pool, gate = Pool(1, Wire), threading.Event()
    stuck = _hang(pool, gate)
    waiting = pool.submit(lambda _wire: 1)
    assert not waiting.wait(0.1)
    pool.abandon(stuck)
    other = pool.submit(lambda _wire: 2)
    assert other.wait(5)
    assert waiting.wait(5)
    gate.set()
    assert stuck.wait(5)
    pool.close()


def test_a_queued_job_that_is_abandoned_never_begins() -> None:
    pool, gate, done = Pool(1, Wire), threading.Event(), []
    stuck = _hang(pool, gate)
    late = pool.submit(lambda _wire: done.append("late"))
    pool.abandon(late)
    gate.set()
    assert stuck.wait(5)
    last = pool.submit(lambda _wire: done.append("last"))
    assert last.wait(5)
    assert done == ["last"]
    pool.close()


def test_too_many_lost_calls_are_refused_at_once() -> None:
    pool, gate = Pool(2, Wire), threading.Event()
    for _n in range(MOST_ABANDONED):
        pool.abandon(_hang(pool, gate))
    with pytest.raises(DriverError) as caught:
        pool.submit(lambda _wire: 1)
    assert caught.value.retryable
    gate.set()
    pool.close()


def test_a_worker_without_connection_says_why_and_tries_again() -> None:
    tries: list[int] = []

    def connect() -> Wire:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("nobody there")
        return Wire()

    pool = Pool(1, connect)
    job = pool.submit(lambda _wire: 1)
    assert job.wait(5)
    with pytest.raises(OSError, match="nobody there"):
        job.result()
    again = pool.submit(lambda _wire: 2)
    assert again.wait(5)
    assert again.result() == 2
    pool.close()


class LibvirtSays(Exception):
    def __init__(self, code: int, domain: int) -> None:
        super().__init__("words of the daemon")
        self.get_error_code: Callable[[], int] = lambda: code
        self.get_error_domain: Callable[[], int] = lambda: domain
        self.get_error_message: Callable[[], str] = lambda: "words of the daemon"


@pytest.mark.parametrize(
    ("code", "domain", "retryable"),
    [(38, 7, True), (1, 7, True), (OPERATION_TIMEOUT, 10, True), (86, 10, True), (42, 10, False), (38, 18, False)],
)
def test_errors_of_the_way_and_of_the_moment_are_retryable(code: int, domain: int, retryable: bool) -> None:
    assert translate(LibvirtSays(code, domain), "u").retryable is retryable


def test_the_daemons_words_reach_the_person() -> None:
    assert "words of the daemon" in translate(LibvirtSays(38, 18)).message.render("en")


@pytest.mark.parametrize(
    ("pair", "power"),
    [
        ((1, 1), Power.RUNNING), ((3, 1), Power.PAUSED), ((3, 5), Power.PAUSED), ((3, 11), Power.RUNNING),
        ((4, 0), Power.RUNNING), ((5, 1), Power.STOPPED), ((5, 2), Power.STOPPED), ((5, 3), Power.CRASHED),
        ((5, 8), Power.CRASHED), ((6, 0), Power.CRASHED), ((7, 0), Power.PAUSED), ((0, 0), Power.STOPPED),
    ],
)  # fmt: skip
def test_every_state_of_libvirt_is_one_of_ours(pair: tuple[int, int], power: Power) -> None:
    assert read_state(*pair, False).power is power


def test_counters_are_summed_over_devices() -> None:
    stats = read_stats(
        {
            "cpu.time": 7, "vcpu.current": 2, "balloon.current": 1024, "balloon.available": 1000,
            "balloon.usable": 400, "block.count": 2, "block.0.rd.bytes": 1, "block.1.rd.bytes": 2,
            "block.1.wr.bytes": 5, "net.count": 1, "net.0.rx.bytes": 8, "net.0.tx.bytes": 9,
        }
    )  # fmt: skip
    assert (stats.cpu_ns, stats.vcpus, stats.memory_kib, stats.memory_used_kib) == (7, 2, 1024, 600)
    assert (stats.disk_read_bytes, stats.disk_write_bytes, stats.net_rx_bytes, stats.net_tx_bytes) == (3, 5, 8, 9)
    assert read_stats({}).memory_used_kib is None
