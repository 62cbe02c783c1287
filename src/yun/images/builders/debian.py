"""Debian 12 with cloud-init, OpenSSH and the guest agent: GPT, BIOS and UEFI with Secure Boot, root last so it grows.

The partitions are those of Debian's own cloud images. No loop device, no mount of the image, no grub-install.
"""

from __future__ import annotations

import os
from pathlib import Path

from yun.base.errors import Unavailable
from yun.base.messages import _
from yun.base.units import MIB
from yun.images.builders import disk
from yun.images.builders.packages import Archive, Package
from yun.images.builders.tools import Tick, run

DATA = Path(__file__).parent / "debian"
SUITE = "bookworm"
TOOLS = (
    "apt-get", "dpkg-deb", "mmdebstrap", "sfdisk", "mkfs.vfat", "mke2fs", "mcopy", "mmd", "qemu-img", "grub-mkimage",
)  # fmt: skip
BOOT = Path("/usr/lib/grub/i386-pc/boot.img")
FILES = {str(BOOT): "grub-pc-bin"}
SIZE_MIB = 2048
ESP_MIB = 8
ROOT_START = 2 + ESP_MIB
GRUB_MODULES = (
    "part_gpt", "part_msdos", "ext2", "fat", "search", "search_label", "normal", "configfile", "linux", "echo", "test",
    "serial", "terminal", "gzio", "minicmd", "reboot", "halt", "boot", "biosdisk", "vga",
)  # fmt: skip
TABLE = f"""label: gpt
14: start=1MiB, size=1MiB, type=21686148-6449-6E6F-744E-656564454649
15: start=2MiB, size={ESP_MIB}MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
1: start={ROOT_START}MiB, size={SIZE_MIB - ROOT_START - 1}MiB, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709
"""
EXCLUDED = ("man", "locale", "doc")


def parts(archive: Archive) -> list[Package]:
    """The packages asked for, in their newest versions: the signed boot loaders first."""
    return archive.resolve(disk.words(DATA / "loaders.txt") + disk.words(DATA / "packages.txt"))


def make(archive: Archive, packages: list[Package], work: Path, target: Path, tick: Tick) -> None:
    """Build the image in the empty directory ``work`` and write it to ``target`` (qcow2). About 80 seconds."""
    root = _bootstrap(archive, work, tick)
    image = disk.sparse(work / "disk.img", SIZE_MIB)
    disk.partition(image, TABLE, tick)
    disk.place(root, image, ROOT_START)
    root.unlink()

    signed = work / "signed"
    loaders = set(disk.words(DATA / "loaders.txt"))
    archive.unpack(archive.fetch([p for p in packages if p.name in loaders]), signed)
    esp = disk.fat(work / "esp.img", ESP_MIB, "ESP", {
        "EFI/BOOT/BOOTX64.EFI": signed / "usr/lib/shim/shimx64.efi.signed",
        "EFI/BOOT/grubx64.efi": signed / "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
        "EFI/debian/grub.cfg": DATA / "early.cfg",
    }, tick)  # fmt: skip
    disk.place(esp, image, 2)

    core = work / "core.img"
    early = str(DATA / "early.cfg")
    run(["grub-mkimage", "-O", "i386-pc", "-p", "/boot/grub", "-c", early, "-o", core, *GRUB_MODULES], tick=tick)
    rest, first = disk.patched_grub(core.read_bytes(), BOOT.read_bytes(), MIB // 512)
    (work / "core.patched").write_bytes(rest)
    disk.place(work / "core.patched", image, 1)
    disk.boot_code(image, first)
    disk.compressed(image, target, tick)


def _bootstrap(archive: Archive, work: Path, tick: Tick) -> Path:
    """The root file system as a file."""
    sources = archive.sources(SUITE)
    if not any(f" {SUITE} " in line for line in sources):
        raise Unavailable(
            _("The apt sources of this host do not offer Debian {suite}.", suite=SUITE),
            hint=_("Add Debian {suite} to the apt sources of this host, or import an image from a file.", suite=SUITE),
        )
    guest, hook, root = work / "guest", work / "setup", work / "root.img"
    disk.overlay(DATA / "root", guest)
    disk.install(DATA / "setup.sh", hook)
    root.touch()
    if os.geteuid() != 0:
        # In a user namespace mmdebstrap works as another user: let that one in.
        for path, mode in ((work.parent, 0o711), (work, 0o777), (root, 0o666)):
            path.chmod(mode)
    options = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in EXCLUDED]
    run(
        [
            "mmdebstrap", "--quiet", "--mode=" + ("root" if os.geteuid() == 0 else "unshare"), "--variant=minbase",
            "--format=null", "--include=" + ",".join(disk.words(DATA / "packages.txt")),
            '--aptopt=Apt::Install-Recommends "false"', *options,
            "--dpkgopt=path-include=/usr/share/doc/*/copyright", f'--customize-hook="{hook}" "$1"',
            SUITE, "-", *sources,
        ],
        tick=tick,
        extra={
            "ROOT_IMAGE": str(root), "ROOT_MIB": str(SIZE_MIB - ROOT_START - 1), "GUEST_FILES": str(guest),
            "TMPDIR": str(work),
        },
    )  # fmt: skip
    return root
