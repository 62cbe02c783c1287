"""The bash part of ./up and ./check: finds what is missing, leaves alone what is in place, explains failures."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from yun.setup import packages

ROOT = Path(__file__).resolve().parents[2]


def bash(script: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    text = f". {ROOT}/src/yun/setup/bootstrap.sh\n{script}"
    command = ["bash", "-euo", "pipefail", "-c", text]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_missing_packages_are_those_listed_and_not_installed(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# a comment\nbash\n\nno-such-package-of-ours  # why\n")
    done = bash("missing_packages list.txt", tmp_path)
    assert done.stdout.split() == ["no-such-package-of-ours"]


@pytest.mark.parametrize("kind", ["run", "check"])
def test_an_environment_with_its_stamp_is_not_touched(tmp_path: Path, kind: str) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    stamp = f'printf %s "$(sha256sum < pyproject.toml) $(/usr/bin/python3 -V) $PWD" > .venv/.yun-{kind}'
    done = bash(f"{stamp}\nmake_venv host run; echo untouched", tmp_path)
    assert done.stdout == "untouched\n"


def test_a_failure_names_step_reason_and_remedy(tmp_path: Path) -> None:
    done = bash('fail "packages" "apt-get failed" "check the network"', tmp_path)
    assert done.returncode == 1
    assert "✗ packages: apt-get failed" in done.stderr
    assert "→ check the network" in done.stderr


def test_another_system_is_refused(tmp_path: Path) -> None:
    done = bash("id() { echo 0; }\n. /etc/os-release\nrequire_debian_12 && echo fine", tmp_path)
    assert done.stdout.strip() == "fine"


@pytest.mark.parametrize("script", ["up", "check", ".ci/run"])
def test_the_commands_can_be_run_and_parse(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & 0o111
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0


def test_the_lists_of_packages_are_sorted_and_without_doubles() -> None:
    for name in ("packages-run.txt", "packages-check.txt"):
        lines = (ROOT / "src/yun/setup" / name).read_text().splitlines()
        names = [line for line in lines if line and not line.startswith("#")]
        assert names == sorted(set(names))


def test_the_doctor_reads_the_list_that_the_bootstrap_installs() -> None:
    assert "libvirt-daemon-system" in packages.wanted()
    assert not any(name.startswith("#") for name in packages.wanted())
