"""The manifest of an OVA: a checksum for each of its files."""

from __future__ import annotations

import hashlib
import re

from yun.base.messages import _
from yun.images.appliance.archive import refuse, shown

LENGTHS = {"sha1": 40, "sha256": 64, "sha512": 128}
_LINE = re.compile(r"(SHA1|SHA256|SHA512)\s*\((.+)\)\s*=\s*([0-9a-fA-F]+)")


def parse(text: bytes) -> dict[str, tuple[str, str]]:
    """Algorithm and checksum (hexadecimal, lower case) by file name. Raises `Invalid` for what is no manifest."""
    found: dict[str, tuple[str, str]] = {}
    for line in text.decode("utf-8", "replace").splitlines():
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise refuse(_("its manifest has a line that says nothing: {line}", line=shown(line.strip())))
        algorithm, name, digest = match[1].lower(), match[2].removeprefix("./"), match[3].lower()
        if len(digest) != LENGTHS[algorithm] or name in found:
            raise refuse(_("its manifest has a line that says nothing: {line}", line=shown(line.strip())))
        found[name] = (algorithm, digest)
    return found


def check(name: str, data: bytes, said: tuple[str, str]) -> None:
    """Pass where a small file's checksum is the one in the manifest. Raises `Invalid`."""
    algorithm, digest = said
    compare(name, algorithm, hashlib.new(algorithm, data).hexdigest(), digest)


def compare(name: str, algorithm: str, found: str, wanted: str) -> None:
    """Pass where both checksums are the same. Raises `Invalid` naming the file and both."""
    if found != wanted:
        raise refuse(
            _("{name} is not the file that its manifest means", name=shown(name)),
            _("It is {found}, expected was {wanted}.", found=f"{algorithm}:{found}", wanted=f"{algorithm}:{wanted}"),
        )
