"""The tiny image: kernel, busybox, SSH server and guest agent of Debian, about 20 MB, BIOS and UEFI, built in seconds;
and images that are the same with something more.

Every tool it uses is unprivileged. In the guest: root's keys, password, host name and script come from a NoCloud seed;
without a password of one's own, SSH takes keys only.
"""

from __future__ import annotations

import gzip
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from yun.base.errors import Unavailable
from yun.base.messages import _
from yun.base.units import MIB
from yun.images.builders import disk
from yun.images.builders.packages import Archive, Package
from yun.images.builders.tools import Tick, run

DATA = Path(__file__).parent / "tiny"
TOOLS = (
    "apt-get", "dpkg-deb", "depmod", "modprobe", "strip", "sfdisk", "mkfs.vfat", "mke2fs", "mcopy", "mmd", "qemu-img",
    "syslinux",
)  # fmt: skip
MBR = Path("/usr/lib/syslinux/mbr/mbr.bin")
UEFI = Path("/usr/lib/systemd/boot/efi/systemd-bootx64.efi")
FILES = {str(MBR): "syslinux-common", str(UEFI): "systemd-boot-efi"}
SIZE_MIB = 96
KERNEL, GENERIC_KERNEL = "linux-image-cloud-amd64", "linux-image-amd64"
COMMAND_LINE = "root=LABEL=tinyroot console=tty0 console=ttyS0,115200 quiet memhp_default_state=online net.ifnames=0"
PROGRAMS = ("usr/sbin/dropbear", "usr/sbin/qemu-ga", "sbin/resize2fs")
DIRECTORIES = (
    "bin", "sbin", "etc/dropbear", "dev", "proc", "sys", "run", "tmp", "root/.ssh", "var/lib", "var/run", "var/log",
    "mnt", "lib64", "usr/bin", "usr/sbin", "lib/x86_64-linux-gnu",
)  # fmt: skip


@dataclass(frozen=True)
class More:
    """What an image has beside the tiny one: lists of packages and modules and guest files in the directory ``data``,
    programs of the packages by path; ``size_mib`` is how big its disk is."""

    data: Path
    programs: tuple[str, ...]
    size_mib: int


def parts(archive: Archive) -> list[Package]:
    """The package files the image is made of, in their newest versions."""
    return _parts(archive, KERNEL)


def generic_parts(archive: Archive) -> list[Package]:
    """The same with the kernel for all hardware: it knows SATA disks and cards such as e1000, which the one made for
    clouds does not."""
    return _parts(archive, GENERIC_KERNEL)


def parts_with(archive: Archive, more: More) -> list[Package]:
    """The package files of an image that has something more."""
    return _parts(archive, KERNEL, *disk.words(more.data / "packages.txt"))


def _parts(archive: Archive, kernel_name: str, *more: str) -> list[Package]:
    names = [*disk.words(DATA / "packages.txt"), *more]
    archive.resolve([kernel_name])
    kernel = next((d for d in archive.depends(kernel_name) if d.startswith("linux-image-")), None)
    if kernel is None:
        raise Unavailable(_("There is no package {name}.", name="linux-image"))
    return archive.resolve([kernel, *names])


def make(archive: Archive, packages: list[Package], work: Path, target: Path, tick: Tick) -> None:
    """Build the image of ``packages`` in the empty directory ``work`` and write it to ``target`` (qcow2)."""
    make_with(archive, packages, work, target, tick, None)


def make_with(
    archive: Archive, packages: list[Package], work: Path, target: Path, tick: Tick, more: More | None
) -> None:
    """Build the tiny image or one with something ``more``, as `make` does."""
    system, root, initramfs = work / "system", work / "root", work / "initramfs"
    archive.unpack(archive.fetch(packages), system)
    for folder in DIRECTORIES:
        (root / folder).mkdir(parents=True, exist_ok=True)
    _modules(system, root, disk.words(more.data / "modules.txt") if more else [], tick)
    _fill_initramfs(system, root, initramfs)
    _fill_root(system, root, more, tick)
    packed = work / "initrd.gz"
    packed.write_bytes(gzip.compress(disk.cpio(initramfs), 9, mtime=0))
    image = disk.sparse(work / "disk.img", more.size_mib if more else SIZE_MIB)
    _assemble(system, root, packed, image, tick)
    disk.compressed(image, target, tick)


def _modules(system: Path, root: Path, more: list[str], tick: Tick) -> None:
    """Copy the wanted kernel modules, ``more`` among them, and all they depend on."""
    version = next((system / "lib/modules").iterdir()).name
    run(["depmod", "-b", system, version], tick=tick)
    for module in [*disk.words(DATA / "modules.txt"), *more]:
        try:
            text = run(["modprobe", "-d", system, "-S", version, "-D", module], tick=tick)
        except Unavailable:
            continue  # built into this kernel, or not in this flavour of it
        for path in re.findall(r"^insmod (\S+)", text, re.MULTILINE):
            relative = Path(path).relative_to(system)
            if not (root / relative).exists():
                disk.install(system / relative, root / relative, 0o644)
    folder = Path("lib/modules") / version
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        disk.install(system / folder / name, root / folder / name, 0o644)
    run(["strip", "--strip-debug", *sorted((root / folder).rglob("*.ko"))], tick=tick)
    run(["depmod", "-b", root, version], tick=tick)


def _fill_initramfs(system: Path, root: Path, initramfs: Path) -> None:
    for folder in ("bin", "dev", "proc", "sys", "newroot"):
        (initramfs / folder).mkdir(parents=True, exist_ok=True)
    shutil.copytree(root / "lib/modules", initramfs / "lib/modules")
    disk.install(system / "bin/busybox", initramfs / "bin/busybox")
    disk.install(DATA / "label.sh", initramfs / "bin/label")
    disk.overlay(DATA / "initramfs", initramfs)


def _fill_root(system: Path, root: Path, more: More | None, tick: Tick) -> None:
    programs = (*PROGRAMS, *(more.programs if more else ()))
    for data in (DATA, *((more.data,) if more else ())):
        disk.overlay(data / "root", root)
    disk.install(system / "bin/busybox", root / "bin/busybox")
    disk.install(DATA / "label.sh", root / "bin/label")
    for program in programs:
        disk.install(system / program, root / program)
    for applet in run([system / "bin/busybox", "--list-full"], tick=tick).split():
        link = root / applet
        if applet.startswith(("bin/", "sbin/", "usr/bin/", "usr/sbin/")) and not link.exists():
            link.symlink_to("/bin/busybox")
    (root / "sbin/shutdown").unlink(missing_ok=True)
    (root / "sbin/shutdown").symlink_to("/usr/sbin/shutdown")
    for library in _libraries(system, programs, tick):
        disk.install(library, root / "lib/x86_64-linux-gnu" / library.name)
    disk.install(system / "lib64/ld-linux-x86-64.so.2", root / "lib64/ld-linux-x86-64.so.2")
    (root / "root").chmod(0o700)
    (root / "root/.ssh").chmod(0o700)
    (root / "etc/shadow").chmod(0o600)


def _libraries(system: Path, programs: tuple[str, ...], tick: Tick) -> list[Path]:
    """All shared libraries the programs load, found by the guest's own loader."""
    search = ":".join(str(system / place / "x86_64-linux-gnu") for place in ("lib", "usr/lib"))
    found: dict[str, Path] = {}
    loader = (system / "lib64/ld-linux-x86-64.so.2").resolve()
    for program in programs:
        said = run([loader, "--inhibit-cache", "--library-path", search, "--list", system / program], tick=tick)
        for name, path in re.findall(r"^\s*(\S+) => (\S+) \(", said, re.MULTILINE):
            found[name] = Path(path)
    return [path for _name, path in sorted(found.items())]


def _assemble(system: Path, root: Path, initrd: Path, image: Path, tick: Tick) -> None:
    """Fill the empty MBR disk ``image``: a FAT partition that BIOS (syslinux) and UEFI (systemd-boot) share, and
    the root, last, so that it can grow."""
    kernel = next((system / "boot").glob("vmlinuz-*"))
    first = (kernel.stat().st_size + initrd.stat().st_size) // MIB + 4
    second = image.stat().st_size // MIB - first - 2
    work = image.parent
    table = (
        f"label: dos\nstart=1MiB, size={first}MiB, type=ef, bootable\nstart={first + 1}MiB, size={second}MiB, type=83\n"
    )
    disk.partition(image, table, tick)
    boot = disk.fat(work / "boot.img", first, "TINYBOOT", {
        "vmlinuz": kernel,
        "initrd.gz": initrd,
        "syslinux/syslinux.cfg": (
            "DEFAULT tiny\nPROMPT 0\nTIMEOUT 0\n"
            f"LABEL tiny\n KERNEL /vmlinuz\n INITRD /initrd.gz\n APPEND {COMMAND_LINE}\n"
        ).encode(),
        "loader/loader.conf": b"timeout 0\n",
        "loader/entries/tiny.conf": (
            f"title tiny\nlinux /vmlinuz\ninitrd /initrd.gz\noptions {COMMAND_LINE}\n"
        ).encode(),
        "EFI/BOOT/BOOTX64.EFI": UEFI,
    }, tick)  # fmt: skip
    run(["syslinux", "--directory", "syslinux", "--install", boot], tick=tick)
    disk.place(boot, image, 1)
    disk.place(disk.ext4(work / "root.img", second, "tinyroot", root, tick), image, first + 1)
    disk.boot_code(image, MBR.read_bytes())
