"""The distribution packages the cloud runs on: the list that `./up` installs, and what of it is missing."""

from __future__ import annotations

from pathlib import Path

from yun.drivers.host.command import run

LIST = Path(__file__).with_name("packages-run.txt")


def wanted() -> list[str]:
    """Names of the packages, sorted."""
    lines = (line.partition("#")[0].strip() for line in LIST.read_text().splitlines())
    return sorted(line for line in lines if line)


def missing() -> list[str]:
    """Those that are not installed."""
    said = run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\\n"], check=False).stdout
    there = {line.split()[1] for line in said.splitlines() if line.startswith("installed ")}
    return [name for name in wanted() if name not in there]
