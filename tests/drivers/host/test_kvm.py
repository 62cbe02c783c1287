"""KVM is believed only after proof, and the proof is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from yun.drivers.host import kvm


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []

    def examine() -> tuple[bool, str]:
        calls.append(1)
        return True, "proved"

    monkeypatch.setattr(kvm, "examine", examine)
    return calls


def test_the_boot_sector_is_one_bootable_sector() -> None:
    sector = kvm.boot_sector()
    assert len(sector) == 512
    assert sector.endswith(b"\x55\xaa")
    assert sector[:2] == b"\xb0K"
    assert sector[0x0B:0x0E] != b"\0\0\0"
    assert sector[0x20:0x22] == (23).to_bytes(2, "little")


def test_a_setting_overrides_the_examination(tmp_path: Path, examined: list[int]) -> None:
    assert kvm.choose("tcg", tmp_path / "kvm.json", "boot", "7.2") == ("tcg", "setting")
    assert kvm.choose("kvm", tmp_path / "kvm.json", "boot", "7.2") == ("kvm", "setting")
    assert examined == []


def test_the_examination_is_kept_for_this_boot_and_this_qemu(tmp_path: Path, examined: list[int]) -> None:
    cache = tmp_path / "host" / "kvm.json"
    assert kvm.choose("auto", cache, "boot", "7.2") == ("kvm", "proved")
    assert kvm.choose("auto", cache, "boot", "7.2") == ("kvm", "proved")
    assert len(examined) == 1
    kvm.choose("auto", cache, "boot", "8.0")
    kvm.choose("auto", cache, "other boot", "8.0")
    assert len(examined) == 3


@pytest.mark.parametrize("damage", ["", "{", "[]", json.dumps({"key": "boot 7.2"})])
def test_a_damaged_record_only_costs_another_examination(tmp_path: Path, examined: list[int], damage: str) -> None:
    cache = tmp_path / "kvm.json"
    cache.write_text(damage)
    assert kvm.choose("auto", cache, "boot", "7.2") == ("kvm", "proved")
    assert len(examined) == 1


def test_no_device_means_no_kvm(tmp_path: Path) -> None:
    assert kvm.examine(device=str(tmp_path / "kvm")) == (False, "no_device")


def test_a_processor_without_virtualisation_means_no_kvm_whatever_the_device_says(tmp_path: Path) -> None:
    (tmp_path / "kvm").write_text("")
    (tmp_path / "cpuinfo").write_text("flags : fpu sse2\n")
    assert kvm.examine(device=str(tmp_path / "kvm"), cpuinfo=str(tmp_path / "cpuinfo")) == (False, "no_cpu_support")


def test_a_slow_kvm_gets_a_second_chance_and_no_third(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []

    def slow(accel: str) -> tuple[bool, str]:
        runs.append(accel)
        return False, "too_slow"

    monkeypatch.setattr(kvm, "run_boot_sector", slow)
    (tmp_path / "kvm").write_text("")
    (tmp_path / "cpuinfo").write_text("flags : vmx\n")
    assert kvm.examine(device=str(tmp_path / "kvm"), cpuinfo=str(tmp_path / "cpuinfo")) == (False, "too_slow")
    assert runs == ["kvm", "kvm"]
