"""A CD that boots by BIOS, installs the tiny image onto the first virtio disk, and restarts: what an installer does."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import pycdlib

from yun.images.builders import disk

BEGINS, ENDS = "INSTALLER-BEGINS", "INSTALLER-ENDS"
INIT = f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in virtio_pci virtio_blk; do modprobe $module; done
echo {BEGINS}
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 100 ]; do tries=$((tries+1)); sleep 0.1; done
gunzip -c /disk.gz > /dev/vda && sync && echo {ENDS}
sleep 1
reboot -f
"""
MODULES = ("iso9660", "biosdisk", "linux", "boot", "serial", "terminal")
EARLY = "linux /vmlinuz console=ttyS0,115200 quiet\ninitrd /initrd\nboot\n"


def _run(*words: object, feed: bytes | None = None) -> None:
    subprocess.run(list(map(str, words)), check=True, input=feed, stdout=subprocess.DEVNULL)


def installer(image: Path, work: Path) -> Path:
    """The path of the CD, made of the qcow2 file ``image`` in the empty directory ``work``."""
    raw, tree = work / "disk.raw", work / "tree"
    _run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, raw)
    for name in ("vmlinuz", "initrd.gz"):
        _run("mcopy", "-i", f"{raw}@@1M", f"::/{name}", work / name)
    tree.mkdir()
    (tree / "init").write_text(INIT)
    (tree / "init").chmod(0o755)
    (tree / "disk.gz").write_bytes(gzip.compress(raw.read_bytes(), 1))
    # The kernel unpacks one archive after the other: what is in ours takes the place of what is in the image's.
    first = (work / "initrd.gz").read_bytes()
    initrd = first + bytes(-len(first) % 4) + disk.cpio(tree)
    (work / "early.cfg").write_text(EARLY)
    options = ("-O", "i386-pc-eltorito", "-p", "/", "-c", work / "early.cfg")
    _run("grub-mkimage", *options, "-o", work / "grub.img", *MODULES)
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, rock_ridge="1.09", vol_ident="INSTALLER")
    (work / "initrd").write_bytes(initrd)
    for name in ("grub.img", "vmlinuz", "initrd"):
        iso.add_file(str(work / name), f"/{name.replace('.', '').upper()}.;1", rr_name=name)
    iso.add_eltorito("/GRUBIMG.;1", boot_load_size=4, boot_info_table=True)
    made = work / "installer.iso"
    iso.write(str(made))
    iso.close()
    with made.open("ab") as file:  # GRUB reads nothing of what lies in the last 32 KiB: CDs end with room to spare
        file.write(bytes(150 * 2048))
    return made
