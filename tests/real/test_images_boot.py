"""Images we build, booted for real under emulation: seed, address, SSH, identity, growth.

A boot of the tiny image costs about five seconds. Debian (a build of 80 s and a boot of 60 s) runs where
``YUN_TEST_DEBIAN=1`` asks for it.
"""

import base64
import io
import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pycdlib
import pytest

from yun.base.errors import NoCapacity
from yun.images import builders
from yun.images.recipes import recipe

pytestmark = pytest.mark.real


def seed(path: Path, files: dict[str, str]) -> Path:
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for number, (name, text) in enumerate(files.items()):
        data = text.encode()
        iso.add_fp(io.BytesIO(data), len(data), f"/F{number:07d}.;1", rr_name=name, joliet_path="/" + name)
    iso.write(str(path))
    iso.close()
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Guest:
    """One QEMU with slirp: SSH forwarded from loopback, the serial console in a file."""

    def __init__(self, folder: Path, disk: Path, cd: Path | None, memory: int = 192) -> None:
        self.folder, self.port = folder, free_port()
        self.console = folder / f"console-{self.port}.log"
        command = [
            "qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-m", str(memory), "-display", "none",
            "-nodefaults", "-serial", f"file:{self.console}", "-device", "virtio-rng-pci",
            "-drive", f"file={disk},if=virtio,format=qcow2,cache=unsafe",
            "-netdev", f"user,id=n,hostfwd=tcp:127.0.0.1:{self.port}-:22", "-device", "virtio-net-pci,netdev=n",
        ]  # fmt: skip
        if cd:
            command += [
                "-device", "virtio-scsi-pci,id=s", "-drive", f"file={cd},if=none,id=cd,format=raw,readonly=on",
                "-device", "scsi-cd,bus=s.0,drive=cd",
            ]  # fmt: skip
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def said(self) -> str:
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def wait_for(self, text: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if text in self.said():
                return
            assert self.process.poll() is None, "QEMU ended"
            time.sleep(0.1)
        raise AssertionError(f"no {text} in {seconds} s:\n{self.said()[-3000:]}")

    def ssh(self, command: str, *, user: str = "root", key: Path | None = None, options: tuple[str, ...] = ()) -> str:
        result = self.try_ssh(command, user=user, key=key, options=options)
        assert result.returncode == 0, result.stderr + self.said()[-2000:]
        return result.stdout.strip()

    def try_ssh(
        self,
        command: str,
        *,
        user: str = "root",
        key: Path | None = None,
        options: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        identity = ["-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"] if key else []
        return subprocess.run(
            ["ssh", "-F", "none", "-p", str(self.port), *identity, "-o", "StrictHostKeyChecking=no",
             "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=20", *options,
             f"{user}@127.0.0.1", command],
            check=False, capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL, env=env,
        )  # fmt: skip

    def host_key(self) -> str:
        out = subprocess.run(
            ["ssh-keyscan", "-t", "ed25519", "-p", str(self.port), "127.0.0.1"],
            capture_output=True, text=True, timeout=60, check=False,
        ).stdout  # fmt: skip
        return out.split()[-1]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)


@pytest.fixture
def start(tmp_path):
    guests = []

    def begin(disk, cd=None, memory=192):
        guests.append(Guest(tmp_path, disk, cd, memory))
        return guests[-1]

    yield begin
    for guest in guests:
        if guest.process.poll() is None:
            guest.stop()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return Path(os.environ.get("YUN_TEST_IMAGES") or tmp_path_factory.mktemp("images"))


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me@desk", "-f", str(path)], check=True)
    return path


def overlay(path: Path, base: Path, size: str) -> Path:
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", "qcow2", str(path), size]
    subprocess.run(command, check=True)
    return path


def askpass(tmp_path: Path, word: str) -> dict[str, str]:
    program = tmp_path / "askpass"
    program.write_text(f"#!/bin/sh\ncat <<'E'\n{word}\nE\n")
    program.chmod(0o700)
    return os.environ | {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}


PASSWORD_ONLY = (
    "-o", "PreferredAuthentications=password,keyboard-interactive", "-o", "PubkeyAuthentication=no",
    "-o", "NumberOfPasswordPrompts=1",
)  # fmt: skip


def test_a_tiny_image_is_built_and_kept(cache):
    first = builders.build("tiny", cache, lambda: None)
    assert first.stat().st_mode & 0o777 == 0o444
    assert 10_000_000 < first.stat().st_size < 30_000_000
    facts = json.loads(subprocess.check_output(["qemu-img", "info", "--output=json", str(first)]))
    assert facts["format"] == "qcow2"
    assert facts["virtual-size"] == recipe("tiny")["min_disk_bytes"]
    made = first.stat().st_mtime_ns, first.stat().st_ino
    assert builders.build("tiny", cache, lambda: None) == first
    assert (first.stat().st_mtime_ns, first.stat().st_ino) == made
    assert not list(cache.glob("tiny-work-*"))


class Cancelled(Exception):
    """What somebody who asks for the end of a build raises."""


def test_a_cancelled_build_leaves_nothing_half_made(tmp_path):
    begun = time.monotonic()

    def tick():
        if time.monotonic() - begun > 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        builders.build("tiny", tmp_path, tick)
    assert not list(tmp_path.glob("tiny-*"))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MiB."""
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("fetched", [False, True], ids=["while fetching", "while building"])
def test_a_full_disk_ends_a_build_with_the_reason_and_leaves_nothing(cache, small_disk, fetched):
    if fetched:
        builders.build("tiny", cache, lambda: None)
        (small_disk / "packages").symlink_to(cache / "packages")
    with pytest.raises(NoCapacity) as error:
        builders.build("tiny", small_disk, lambda: None)
    assert error.value.hint
    assert not [p for p in small_disk.glob("tiny-*") if p.suffix != ".lock"]


def test_tiny_takes_name_and_key_from_a_seed_grows_and_lets_nobody_in_by_password(cache, tmp_path, start, key):
    base = builders.build("tiny", cache, lambda: None)
    public = key.with_suffix(".pub").read_text().strip()
    cd = seed(tmp_path / "seed.iso", {
        "meta-data": "instance-id: ins_1\nlocal-hostname: first\n",
        "user-data": f"#cloud-config\nhostname: first\nssh_authorized_keys:\n  - {public}\n",
    })  # fmt: skip
    disk = overlay(tmp_path / "disk.qcow2", base, "3G")
    guest = start(disk, cd)
    guest.wait_for("TINY-READY first", 60)
    guest.wait_for("TINY-IP eth0 10.0.2.15", 30)
    assert guest.ssh("hostname", key=key) == "first"
    assert guest.ssh("cat /root/.ssh/authorized_keys", key=key) == public
    for _try in range(20):
        if int(guest.ssh("df -m / | awk 'NR==2{print $2}'", key=key)) > 2800:
            break
        time.sleep(0.5)
    assert int(guest.ssh("df -m / | awk 'NR==2{print $2}'", key=key)) > 2800
    first_host_key = guest.host_key()

    for word in ("tiny", "root", "yun"):
        tried = guest.try_ssh("id", options=PASSWORD_ONLY, env=askpass(tmp_path, word))
        assert tried.returncode == 255
        assert "Permission denied" in tried.stderr

    # A password set on purpose (the guest agent runs the same chpasswd) opens password login without a reboot.
    guest.ssh("echo 'root:a\"b $c:d' | chpasswd; sync", key=key)
    tried = guest.try_ssh("echo in", options=PASSWORD_ONLY, env=askpass(tmp_path, 'a"b $c:d'))
    assert tried.stdout == "in\n", tried.stderr
    guest.ssh("sync", key=key)
    guest.stop()

    # The same disk with another instance id is another machine.
    other = seed(tmp_path / "other.iso", {
        "meta-data": "{\"instance-id\": \"ins_2\", \"local-hostname\": \"second\"}",
        "user-data": "#cloud-config\n" + json.dumps({"ssh_authorized_keys": [public]}) + "\n",
    })  # fmt: skip
    guest = start(disk, other)
    guest.wait_for("TINY-READY second", 60)
    guest.wait_for("TINY-IP eth0", 30)
    assert guest.ssh("hostname", key=key) == "second"
    assert guest.host_key() != first_host_key


def test_tiny_takes_a_password_and_a_script_from_a_seed(cache, tmp_path, start):
    base = builders.build("tiny", cache, lambda: None)
    word = 'Pa\'ss "wörd密" # $HOME {x}, y'
    multipart = (
        'Content-Type: multipart/mixed; boundary="b1"\nMIME-Version: 1.0\n\n--b1\nContent-Type: text/cloud-config\n\n'
        "#cloud-config\npassword: " + json.dumps(word) + "\nchpasswd: {expire: false}\nssh_pwauth: true\n\n--b1\n"
        'Content-Type: text/x-shellscript; charset="utf-8"\nContent-Transfer-Encoding: base64\n\n'
        + base64.encodebytes("#!/bin/sh\necho done-by-script > /root/mark # 好\n".encode()).decode()
        + "\n--b1--\n"
    )
    cd = seed(tmp_path / "seed.iso", {"meta-data": "instance-id: a\nlocal-hostname: 'pw'\n", "user-data": multipart})
    guest = start(overlay(tmp_path / "disk.qcow2", base, "96M"), cd)
    guest.wait_for("TINY-SCRIPT ended with 0", 60)
    guest.wait_for("TINY-IP eth0", 30)
    tried = guest.try_ssh("cat /root/mark; hostname", options=PASSWORD_ONLY, env=askpass(tmp_path, word))
    assert tried.stdout == "done-by-script\npw\n", tried.stderr


def test_tiny_without_a_seed_boots_and_is_closed_to_ssh(cache, tmp_path, start):
    base = builders.build("tiny", cache, lambda: None)
    guest = start(overlay(tmp_path / "disk.qcow2", base, "96M"))
    guest.wait_for("TINY-READY tiny", 60)
    guest.wait_for("TINY-IP eth0", 30)
    tried = guest.try_ssh("id", options=PASSWORD_ONLY, env=askpass(tmp_path, "tiny"))
    assert tried.returncode == 255
    assert "Permission denied" in tried.stderr


def test_tiny_boots_with_uefi_as_well(cache, tmp_path, start):
    base = builders.build("tiny", cache, lambda: None)
    code = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
    assert code.exists()
    variables = tmp_path / "vars.fd"
    variables.write_bytes(Path("/usr/share/OVMF/OVMF_VARS_4M.fd").read_bytes())
    console = tmp_path / "uefi.log"
    disk = overlay(tmp_path / "disk.qcow2", base, "96M")
    process = subprocess.Popen([
        "qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-m", "256", "-display", "none", "-nodefaults",
        "-serial", f"file:{console}", "-drive", f"file={disk},if=virtio,format=qcow2,cache=unsafe",
        "-drive", f"if=pflash,format=raw,readonly=on,file={code}", "-drive", f"if=pflash,format=raw,file={variables}",
    ])  # fmt: skip
    try:
        end = time.monotonic() + 90
        said = ""
        while time.monotonic() < end and "TINY-READY tiny" not in said:
            time.sleep(0.2)
            said = console.read_text(errors="replace") if console.exists() else ""
        assert "TINY-READY tiny" in said
    finally:
        process.terminate()
        process.wait(timeout=20)


if os.environ.get("YUN_TEST_DEBIAN") == "1":

    def test_debian_is_built_and_boots_with_a_seed(cache, tmp_path, start, key):
        base = builders.build("debian-12", cache, lambda: None)
        public = key.with_suffix(".pub").read_text().strip()
        cd = seed(tmp_path / "seed.iso", {
            "meta-data": "instance-id: ins_1\nlocal-hostname: big\n",
            "user-data": f"#cloud-config\nssh_authorized_keys:\n  - {public}\n",
        })  # fmt: skip
        guest = start(overlay(tmp_path / "disk.qcow2", base, "4G"), cd, memory=768)
        guest.wait_for("Cloud-init v. ", 150)
        guest.wait_for("finished at", 200)
        assert guest.ssh("hostname; id -un; sudo -n id -u", user="debian", key=key).split() == ["big", "debian", "0"]
        assert guest.ssh("cloud-init status", user="debian", key=key) == "status: done"
        assert int(guest.ssh("df -m / | awk 'NR==2{print $2}'", user="debian", key=key)) > 3500
