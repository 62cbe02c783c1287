"""Retakes what the guides show: runs the commands of their ```console blocks on a real cloud and keeps the answers.

Run as root: ``python -m docs.transcripts docs/guides/hardware.md …``. They get a cloud in a machine of its own
(as `tests/real` does) with the image ``tiny``. What a guide needs first stands in it as an HTML comment that begins
with ``before``, one command a line; lines of a block that begin with ``$`` are commands, all else is written anew.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from tests.real.cloud import YUN, Desk, living_cloud

PART = re.compile(r"<!-- before\n(?P<before>.*?)-->|```console\n(?P<shown>.*?)```", re.DOTALL)
HOST = "vm"


def run(desk: Desk, command: str) -> str:
    """What a command says, both streams, as it stands on a screen."""
    work = desk.host.directory / "work"
    path = f"export PATH={Path(YUN).parent}:$PATH COLUMNS=120; mkdir -p {work}; cd {work}"
    said = desk.host.run("bash", "-c", f"{path}; {{ {command}\n}} 2>&1", check=False, timeout=300)
    return "\n".join(line.rstrip() for line in said.splitlines()).rstrip()


def commands(block: str) -> list[str]:
    """The commands of a block, each with the lines that it goes on over."""
    found: list[str] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(line[2:])
        elif found and found[-1].endswith("\\"):
            found[-1] += "\n" + line
    return found


def retake(desk: Desk, text: str) -> str:
    """The guide with the answers of now."""

    def again(part: re.Match[str]) -> str:
        if part["before"] is not None:
            for command in part["before"].strip().splitlines():
                sys.stderr.write(f"# {command}\n{run(desk, command)}\n")
            return part[0]
        lines = []
        for command in commands(part["shown"]):
            said = run(desk, command)
            sys.stderr.write(f"$ {command}\n{said}\n")
            lines.append(f"$ {command}\n{said}".rstrip())
        return "```console\n" + "\n\n".join(lines) + "\n```"

    return PART.sub(again, text)


def main() -> None:
    """Retake the guides that are named, one after the other on one cloud."""
    with tempfile.TemporaryDirectory(prefix="guide") as folder, living_cloud(HOST, Path(folder) / "box") as desk:
        for name in sys.argv[1:]:
            guide = Path(name)
            guide.write_text(retake(desk, guide.read_text()))
            desk.clear()


if __name__ == "__main__":
    main()
