"""The driver without the libvirt binding: it can be made, and every call says what is missing."""

from __future__ import annotations

import sys
import time

import pytest

from yun.base.errors import DriverError
from yun.drivers.hypervisor.libvirt.driver import LibvirtHypervisor
from yun.drivers.hypervisor.libvirt.files import connect_serial, read_serial_log


def test_a_machine_without_the_binding_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libvirt", None)
    driver = LibvirtHypervisor(timeout=2)
    begun = time.monotonic()
    for call in (driver.facts, driver.states, driver.stats):
        with pytest.raises(DriverError) as caught:
            call()
        assert not caught.value.retryable
        assert "libvirt-python" in caught.value.hint.render("en")
    assert time.monotonic() - begun < 2
    driver.close()


def test_a_closed_driver_refuses() -> None:
    driver = LibvirtHypervisor(timeout=2)
    driver.close()
    with pytest.raises(DriverError) as caught:
        driver.states()
    assert caught.value.retryable


def test_the_serial_log_is_read_over_its_rotations(tmp_path) -> None:  # type: ignore[no-untyped-def]
    xml = f"<domain><devices><serial type='unix'><log file='{tmp_path}/s.log'/></serial></devices></domain>"
    assert read_serial_log(xml, 100) == b""
    (tmp_path / "s.log").write_bytes(b"new")
    (tmp_path / "s.log.0").write_bytes(b"older-")
    (tmp_path / "s.log.1").write_bytes(b"oldest-")
    assert read_serial_log(xml, 100) == b"oldest-older-new"
    assert read_serial_log(xml, 5) == b"r-new"
    assert read_serial_log("<domain/>", 5) == b""


def test_a_serial_port_that_is_not_there_says_so(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DriverError):
        connect_serial("<domain><devices><serial type='pty'/></devices></domain>")
    gone = f"<domain><devices><serial type='unix'><source path='{tmp_path}/s'/></serial></devices></domain>"
    with pytest.raises(DriverError) as caught:
        connect_serial(gone)
    assert caught.value.retryable
