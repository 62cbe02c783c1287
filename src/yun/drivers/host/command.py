"""Running the distribution's tools: a fixed search path, a time-out always, an answer or a `DriverError`."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence

from yun.base.errors import DriverError
from yun.base.messages import _

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What our children see: the system's own paths and C messages, and nothing of the caller's secrets."""
    return {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": "/root", **(extra or {})}


def run(
    argv: Sequence[str], *, timeout: float = 10.0, stdin: str = "", check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run one tool in its own session and return what it said, standard error after standard output.

    The output goes through a file, so a daemon that the tool leaves behind holds no pipe of ours open, and the new
    session keeps that daemon alive when we end. Raises `DriverError` for a missing tool, for no end within
    ``timeout`` seconds (retryable) and, with ``check``, for a failing one (retryable, its last words in the message).
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as into:
        into.write(stdin)
        into.seek(0)
        try:
            done = subprocess.run(
                list(argv), stdin=into, stdout=out, stderr=subprocess.STDOUT, timeout=timeout, check=False,
                env=environment(), cwd="/", start_new_session=True, umask=0o022,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise DriverError(
                _("The program {name} is not installed.", name=argv[0]), hint=_("Run ./up, which installs it.")
            ) from error
        except subprocess.TimeoutExpired as error:
            raise DriverError(
                _("{name} did not end within {seconds} s.", name=argv[0], seconds=round(timeout, 1)),
                retryable=True, private=" ".join(argv),
            ) from error  # fmt: skip
        out.seek(0)
        text = out.read()
    if check and done.returncode != 0:
        said = text.strip()[-400:] or str(done.returncode)
        raise DriverError(
            _("{name} failed: {reason}", name=argv[0].rpartition("/")[2], reason=said),
            retryable=True, private=" ".join(argv),
        )  # fmt: skip
    return subprocess.CompletedProcess(done.args, done.returncode, text, "")
