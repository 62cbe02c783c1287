"""Running the distribution's tools for a build: cancellable, with an error that names what is missing."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from yun.base.errors import Unavailable, YunError
from yun.base.messages import _
from yun.images.faults import disk_full

PATH = os.defpath + ":/usr/local/sbin:/usr/sbin:/sbin"
Tick = Callable[[], None]
"""Called every fifth of a second while a tool runs; raises to cancel the build."""

PACKAGE_OF = {
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "depmod": "kmod",
    "modprobe": "kmod",
    "strip": "binutils",
    "sfdisk": "fdisk",
    "mkfs.vfat": "dosfstools",
    "mke2fs": "e2fsprogs",
    "mcopy": "mtools",
    "mmd": "mtools",
    "qemu-img": "qemu-utils",
    "syslinux": "syslinux",
    "mmdebstrap": "mmdebstrap",
    "grub-mkimage": "grub-common",
}


def environment() -> dict[str, str]:
    """The environment tools run in: plain C locale, system directories, nothing of ours."""
    wanted = ("HOME", "TMPDIR", "http_proxy", "https_proxy", "no_proxy")
    kept = {name: os.environ[name] for name in wanted if name in os.environ}
    path = os.environ.get("PATH", os.defpath) + ":" + PATH
    return {"PATH": path, "LC_ALL": "C.UTF-8", "MTOOLS_SKIP_CHECK": "1"} | kept


def require(tools: Sequence[str], files: Mapping[str, str]) -> None:
    """Raise `Unavailable` naming the packages that bring missing ``tools`` or ``files`` (path → package)."""
    path = environment()["PATH"]
    missing = {PACKAGE_OF[tool] for tool in tools if shutil.which(tool, path=path) is None}
    missing |= {package for file, package in files.items() if not Path(file).exists()}
    if missing:
        names = " ".join(sorted(missing))
        raise Unavailable(
            _("The builder needs packages that are not installed: {packages}.", packages=names),
            hint=_("Install them: apt-get install --no-install-recommends {packages}", packages=names),
        )


def run(
    command: Sequence[str | Path],
    *,
    tick: Tick,
    cwd: Path | None = None,
    feed: bytes | None = None,
    extra: Mapping[str, str] | None = None,
) -> str:
    """Run a tool to its end and return its standard output.

    ``feed`` is its standard input, ``extra`` joins its environment. Raises `Unavailable` with the last lines it
    said where it fails; whatever ``tick`` raises after ending the tool and its children.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as given:
        given.write(feed or b"")
        given.seek(0)
        try:
            process = subprocess.Popen(
                [str(part) for part in command], stdin=given, stdout=out, stderr=err, cwd=cwd,
                env=environment() | dict(extra or {}), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise failed(str(command[0]), str(error)) from error
        try:
            while True:
                try:
                    process.wait(timeout=0.2)
                    break
                except subprocess.TimeoutExpired:
                    tick()
        except BaseException:
            _end(process)
            raise
        err.seek(0)
        out.seek(0)
        if process.returncode:
            raise failed(str(command[0]), err.read().decode(errors="replace"))
        return out.read().decode(errors="replace")


def failed(tool: str, said: str) -> YunError:
    """The error of a tool that failed; the last lines of what it ``said`` are for the person, all for the log.

    This is the only place that reads what the tools say.
    """
    if os.strerror(errno.ENOSPC) in said or "Disk full" in said or "enough free space" in said:
        return disk_full(Path(tool).name, said[-4000:])
    lines = [line for line in said.strip().splitlines() if line.strip()]
    reason = " / ".join(lines[-3:])[:400] or "?"
    return Unavailable(
        _("Building the image failed at {tool}: {reason}", tool=Path(tool).name, reason=reason), private=said[-4000:]
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(timeout=5)
            return
        except subprocess.TimeoutExpired:
            continue
