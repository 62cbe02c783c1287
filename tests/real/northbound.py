"""An OVN northbound database of a test's own, and what stands in it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

SCHEMA = "/usr/share/ovn/ovn-nb.ovsschema"


class Northbound:
    """An ovsdb-server of our own with an empty northbound database."""

    def __init__(self, folder: Path) -> None:
        self.file, self.socket = folder / "nb.db", folder / "nb.sock"
        self.process: subprocess.Popen[bytes] | None = None
        subprocess.run(["ovsdb-tool", "create", str(self.file), SCHEMA], check=True)

    @property
    def remote(self) -> str:
        return f"unix:{self.socket}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                "ovsdb-server",
                f"--remote=punix:{self.socket}",
                f"--unixctl={self.socket}.ctl",
                "--no-chdir",
                "-vconsole:off",
                str(self.file),
            ]
        )
        end = time.monotonic() + 10
        while True:
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(str(self.socket))
                    return
                except OSError:
                    if time.monotonic() > end:
                        raise
            time.sleep(0.01)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None
        self.socket.unlink(missing_ok=True)

    def ctl(self, *arguments: str) -> str:
        done = subprocess.run(
            ["ovn-nbctl", f"--db={self.remote}", "--timeout=5", *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def rows(self, table: str) -> list[dict[str, Any]]:
        answer = json.loads(self.ctl("--format=json", "--data=json", "list", table))
        return [dict(zip(answer["headings"], (_plain(v) for v in row), strict=True)) for row in answer["data"]]


def _plain(value: Any) -> Any:
    if isinstance(value, list) and value and value[0] == "map":
        return {k: _plain(v) for k, v in value[1]}
    if isinstance(value, list) and value and value[0] == "set":
        return [_plain(v) for v in value[1]]
    if isinstance(value, list) and value and value[0] == "uuid":
        return value[1]
    return value


def only(rows: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    found = [r for r in rows if all(r[k] == v for k, v in wanted.items())]
    assert len(found) == 1, found
    return found[0]
