"""Copies of what TPMs keep: whole or not there, with the owners of the original."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from yun.base.errors import DriverError
from yun.drivers.hypervisor.libvirt import tpm

OLD, NEW = "0192aaaa-0000-4000-8000-000000000001", "0192aaaa-0000-4000-8000-000000000002"


@pytest.fixture
def states(tmp_path: Path) -> Path:
    """A TPM's folder as libvirt and swtpm make it."""
    folder = tmp_path / OLD / "tpm2"
    folder.mkdir(parents=True)
    (tmp_path / OLD).chmod(0o711)
    folder.chmod(0o700)
    (folder / "tpm2-00.permall").write_bytes(b"keys")
    (folder / "tpm2-00.permall").chmod(0o640)
    (folder / "tpm2-00.volatilestate").write_bytes(b"registers")
    (folder / ".lock").touch()
    return tmp_path


def test_what_outlives_its_power_is_copied_with_its_rights(states: Path) -> None:
    assert tpm.copy(states, OLD, NEW)
    there = sorted(str(p.relative_to(states / NEW)) for p in (states / NEW).rglob("*"))
    assert there == ["tpm2", "tpm2/tpm2-00.permall"]
    assert (states / NEW / "tpm2/tpm2-00.permall").read_bytes() == b"keys"
    for part in ("", "tpm2", "tpm2/tpm2-00.permall"):
        old, new = (states / OLD / part).stat(), (states / NEW / part).stat()
        assert (old.st_mode, old.st_uid, old.st_gid) == (new.st_mode, new.st_uid, new.st_gid), part


def test_what_the_copy_has_already_stays(states: Path) -> None:
    tpm.copy(states, OLD, NEW)
    (states / OLD / "tpm2/tpm2-00.permall").write_bytes(b"changed since")
    assert tpm.copy(states, OLD, NEW)
    assert (states / NEW / "tpm2/tpm2-00.permall").read_bytes() == b"keys"


def test_a_copy_that_died_halfway_is_begun_anew_and_never_taken_for_a_state(
    states: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_given: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(DriverError, match="No space left"):
        tpm.copy(states, OLD, NEW)
    assert not (states / NEW).exists()
    monkeypatch.undo()
    assert tpm.copy(states, OLD, NEW)
    assert sorted(p.name for p in states.iterdir()) == [OLD, NEW]


def test_discarding_takes_halves_too(states: Path) -> None:
    tpm.copy(states, OLD, NEW)
    (states / f"{NEW}.part").mkdir()
    tpm.discard(states, NEW)
    assert [p.name for p in states.iterdir()] == [OLD]


def test_a_machine_without_a_tpm_has_nothing_to_copy(states: Path) -> None:
    assert not tpm.copy(states, NEW, OLD.replace("1", "3"))
    (states / OLD / "tpm2/tpm2-00.permall").unlink()
    assert not tpm.copy(states, OLD, NEW)
