"""The files around a domain that the driver itself touches: the serial port's socket and log."""

from __future__ import annotations

import os
import pwd
import socket
import stat
import xml.etree.ElementTree as ET
from pathlib import Path

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.port import DomainSpec

QEMU_USERS = ("libvirt-qemu", "qemu")
CONNECT_SECONDS = 5.0


def prepare(spec: DomainSpec) -> None:
    """The directories of the serial socket and log exist, and QEMU's user may write where it binds its socket.

    `DriverError` where a directory above cannot be passed by that user.
    """
    try:
        if spec.serial_log:
            Path(spec.serial_log).parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        if spec.serial_socket:
            folder = Path(spec.serial_socket).parent
            folder.mkdir(mode=0o711, parents=True, exist_ok=True)
            _give(folder)
    except OSError as error:
        message = _("The directory of the serial console cannot be made: {reason}", reason=str(error))
        raise DriverError(message) from error


def _give(folder: Path) -> None:
    user = qemu_user()
    if user is None or os.geteuid() != 0:
        return
    if folder.stat().st_uid != user.pw_uid:
        os.chown(folder, user.pw_uid, -1)
        folder.chmod(0o711)
    for parent in folder.parents:
        facts = parent.stat()
        if facts.st_uid != user.pw_uid and not facts.st_mode & stat.S_IXOTH:
            message = _("The hypervisor's user {user} cannot pass {folder}.", user=user.pw_name, folder=str(parent))
            raise DriverError(message, hint=_("Run: chmod o+x {folder}", folder=str(parent)))


def qemu_user() -> pwd.struct_passwd | None:
    """The user that QEMU runs as, None where the distribution's is not known."""
    for name in QEMU_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


def connect_serial(xml: str) -> socket.socket:
    """A socket connected to the serial port of a live domain XML."""
    source = ET.fromstring(xml).find("./devices/serial[@type='unix']/source[@path]")
    if source is None:
        raise DriverError(_("The machine has no serial console."))
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    end.settimeout(CONNECT_SECONDS)
    try:
        end.connect(source.get("path", ""))
    except OSError as error:
        end.close()
        message = _("The serial console does not answer: {reason}", reason=str(error))
        raise DriverError(message, retryable=True) from error
    end.settimeout(None)
    return end


def read_serial_log(xml: str, tail: int) -> bytes:
    """The end of the serial log named in a domain XML, over the log's rotations."""
    log = ET.fromstring(xml).find("./devices/serial/log[@file]")
    if log is None:
        return b""
    data = b""
    for path in _log_files(Path(log.get("file", ""))):
        missing = tail - len(data)
        if missing <= 0:
            break
        try:
            with path.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - missing))
                data = file.read(missing) + data
        except OSError:
            break
    return data


def discard_serial_log(path: str) -> None:
    """Remove a serial log and its rotations; missing ones are fine."""
    try:
        for part in _log_files(Path(path)):
            part.unlink(missing_ok=True)
    except OSError as error:
        message = _("The log of the serial console cannot be removed: {reason}", reason=str(error))
        raise DriverError(message) from error


def _log_files(current: Path) -> tuple[Path, ...]:
    """The log and its rotations, newest first: virtlogd moves a full log aside to .0, that to .1, and so on."""
    return (current, *(current.with_name(f"{current.name}.{n}") for n in range(3)))
