"""Public SSH keys: parsed and judged before one is kept. Pure."""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key

from yun.base.errors import Invalid
from yun.base.messages import Message, _

RSA_MIN_BITS = 2048
RSA_MAX_BITS = 16384
SECURITY_KEYS = ("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com")


@dataclass(frozen=True)
class PublicKey:
    """A key that passed: its kind, size in bits, ``SHA256:…`` fingerprint, comment, and the line to keep."""

    kind: str
    bits: int
    fingerprint: str
    comment: str
    line: str


def _refuse(message: Message) -> Invalid:
    return Invalid(message, fields={"public_key": _("a line such as ssh-ed25519 AAAA… name@computer")})


def parse(text: str) -> PublicKey:
    """Read one line of an ``authorized_keys`` file without options.

    Accepts Ed25519, ECDSA on NIST curves, RSA of 2048 bits or more, and security keys. Raises `Invalid` for a
    private key, several lines, options, certificates, DSA, short RSA, and anything that is no key.
    """
    line = text.strip()
    if "PRIVATE KEY" in line:
        raise _refuse(_("This is a private key. Keep it secret and paste the public one, the file that ends in .pub."))
    parts = line.split(None, 2)
    if len(line) > 8192 or "\n" in line or "\r" in line or len(parts) < 2:
        raise _refuse(_("This is not one public SSH key in OpenSSH form."))
    kind, blob = parts[0], parts[1]
    comment = "".join(c for c in (parts[2] if len(parts) > 2 else "") if unicodedata.category(c)[0] != "C")[:200]
    try:
        raw = base64.b64decode(blob, validate=True)
    except ValueError as error:
        raise _refuse(_("This is not one public SSH key in OpenSSH form.")) from error
    fingerprint = "SHA256:" + base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")
    if kind == "ssh-dss":
        raise _weak()
    if kind in SECURITY_KEYS:
        return PublicKey(kind, 256, fingerprint, comment, _security_key(kind, raw))
    try:
        key = load_ssh_public_key(f"{kind} {blob}".encode("ascii"))
        shape = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    except (ValueError, UnsupportedAlgorithm, UnicodeError, TypeError) as error:
        raise _refuse(_("This is not one public SSH key in OpenSSH form.")) from error
    return PublicKey(kind, _judged_bits(key), fingerprint, comment, shape)


def _judged_bits(key: object) -> int:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return 256
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.key_size
    if isinstance(key, rsa.RSAPublicKey):
        if not RSA_MIN_BITS <= key.key_size <= RSA_MAX_BITS:
            found, least = key.key_size, RSA_MIN_BITS
            raise _refuse(_("An RSA key needs {least} bits or more; this one has {bits}.", least=least, bits=found))
        return key.key_size
    raise _weak()


def _weak() -> Invalid:
    return _refuse(_("This kind of key is too weak. Use Ed25519, ECDSA or RSA."))


def _security_key(kind: str, raw: bytes) -> str:
    """The line of a key that lives on a hardware token; the blob must name its own kind and hold whole fields."""
    fields, rest = [], raw
    while len(rest) >= 4:
        size = int.from_bytes(rest[:4], "big")
        if len(rest) < 4 + size:
            break
        fields.append(rest[4 : 4 + size])
        rest = rest[4 + size :]
    wanted = 3 if "ed25519" in kind else 4
    if rest or len(fields) != wanted or fields[0] != kind.encode():
        raise _refuse(_("This is not one public SSH key in OpenSSH form."))
    return f"{kind} {base64.b64encode(raw).decode()}"
