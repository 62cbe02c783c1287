"""A private host machine for tests: own mounts, name, network, IPC and processes, so that every daemon runs with its
packaged paths and nothing of it touches the machine the tests run on. Precondition: root, no container engine."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

STATE = ("openvswitch", "ovn", "libvirt")
DIRECTORIES = [
    *(f"{base}/{name}" for name in STATE for base in ("/etc", "/var/lib", "/var/log")),
    "/var/cache/libvirt", "/usr/local/bin", "/var/lib/yun",
]  # fmt: skip

# No control groups in a private host: libvirt must not ask for them.
QEMU_CONF = 'cgroup_controllers = []\nsecurity_driver = "none"\nremember_owner = 0\n'

INIT = """
set -e
hostname "$1"; ip link set lo up
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
for p in $3; do
  mkdir -p "$p" "$2/root$p"; mount --bind "$2/root$p" "$p"
done
echo "$1" > "$2/hostname"; { cat /etc/hosts; echo "127.0.1.1 $1"; } > "$2/hosts"
mount --bind "$2/hostname" /etc/hostname; mount --bind "$2/hosts" /etc/hosts
touch "$2/ready"
while :; do sleep 86400 & wait $!; done
"""


class PrivateHost:
    """Namespaces that look like a machine of their own; ``directory`` keeps its daemons' files."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        log = (directory / "init.log").open("w")
        self.outer = subprocess.Popen(
            ["unshare", "--mount", "--uts", "--net", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc",
             "--propagation", "private", "bash", "-c", INIT, "init", name, str(directory), " ".join(DIRECTORIES)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        log.close()
        until = time.monotonic() + 10
        while not (directory / "ready").exists():
            if self.outer.poll() is not None or time.monotonic() > until:
                raise RuntimeError((directory / "init.log").read_text())
            time.sleep(0.02)
        (directory / "root/etc/libvirt/qemu.conf").write_text(QEMU_CONF)
        children = Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children").read_text().split()
        self.pid = int(children[0])

    def enter(self, *argv: str) -> list[str]:
        """The words that run a command inside, from outside."""
        return ["nsenter", "-t", str(self.pid), "-m", "-u", "-n", "-i", "-p", f"--wd={os.getcwd()}", "--", *argv]

    def run(self, *argv: str, check: bool = True, stdin: str = "", timeout: float = 60) -> str:
        """Run a command inside; its output."""
        done = subprocess.run(
            self.enter(*argv), input=stdin, capture_output=True, text=True, check=False, timeout=timeout
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{argv}: {done.stdout}\n{done.stderr}")
        return done.stdout

    def close(self) -> None:
        """Everything inside ends, the daemons too."""
        os.kill(self.pid, signal.SIGKILL)
        self.outer.wait(10)
