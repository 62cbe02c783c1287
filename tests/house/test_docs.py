"""Documents and code say the same: commands that exist, links that lead somewhere, a reference that is current."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.house.source import ROOT
from yun.cli import root
from yun.reference import pages

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
WRITTEN = [d for d in DOCUMENTS if "reference" not in d.parts]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def command_lines(text: str) -> Iterator[str]:
    for block in re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            stripped = line.strip().removeprefix("$ ")
            if stripped.startswith("yun "):
                for part in stripped.split("#")[0].split("&&"):
                    yield part.strip()
    yield from re.findall(r"`(yun [^`]+)`", text)


def check(line: str) -> str | None:
    """What is wrong with a command line of a document."""
    words = shlex.split(line.replace("…", "x"))[1:]
    command: click.Command = root
    context = click.Context(root, info_name="yun")
    options: set[str] = set()
    while True:
        options |= {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
        while words and words[0].startswith("-"):
            flag = words.pop(0).split("=")[0]
            if flag == "--":
                return None
            if flag not in options and flag not in ("--help", "-h"):
                return f"no option {flag}"
            found = next((p for p in command.params if flag in p.opts), None)
            if isinstance(found, click.Option) and not found.is_flag and words and "=" not in flag:
                words.pop(0)
        if not isinstance(command, click.Group) or not words:
            break
        name = words.pop(0)
        if not name.isascii() or name.isupper():
            return None
        following = command.get_command(context, name)
        if following is None:
            return f"no command {name}"
        command = following
    for word in words:
        if word == "--":
            break
        if word.startswith("--") and word.split("=")[0] not in options:
            return f"no option {word}"
    return None


@pytest.mark.parametrize("document", WRITTEN, ids=lambda d: d.name)
def test_every_command_in_a_document_exists(document: Path) -> None:
    wrong = [f"{line}: {fault}" for line in command_lines(document.read_text()) if (fault := check(line))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    broken = [
        target
        for target in LINK.findall(document.read_text())
        if "://" not in target and not (document.parent / target).exists()
    ]
    assert not broken, broken


def test_the_reference_is_what_the_code_says() -> None:
    stale = [
        name
        for name, text in pages().items()
        if not (ROOT / "docs/reference" / name).exists() or (ROOT / "docs/reference" / name).read_text() != text
    ]
    assert not stale, f"{stale}: run python -m yun.reference docs/reference"
