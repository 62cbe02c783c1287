"""The server side of SPICE's link in memory: a viewer is let in on any channel, and then nothing moves."""

from __future__ import annotations

import socket
import struct
from functools import lru_cache

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

MAGIC = b"REDQ"
HEADER = struct.Struct("<4sIII")
KEY_BYTES, TICKET_BYTES = 162, 128
"""Of the server's public key as X.509 writes an RSA key of 1024 bits, and of a password encrypted by it."""
BAD_MAGIC, DENIED = 1, 7
PADDING = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)


@lru_cache(1)
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)


def link(end: socket.socket) -> None:
    """Read the viewer's link, answer it, take any ticket, and keep the channel open until the viewer leaves."""
    magic, _major, _minor, size = HEADER.unpack(_read(end, HEADER.size))
    if magic != MAGIC:
        _reply(end, BAD_MAGIC)
        return
    _read(end, size)
    _reply(end, 0)
    ticket = _read(end, 4 + TICKET_BYTES)[4:]
    try:
        _key().decrypt(ticket, PADDING)  # whatever it says: the cloud has let the person in before
    except ValueError:
        end.sendall(struct.pack("<I", DENIED))
        return
    end.sendall(struct.pack("<I", 0))
    while end.recv(4096):
        pass


def _reply(end: socket.socket, error: int) -> None:
    """Error, public key, and the capabilities: choosing how to authenticate, and short message headers."""
    body = struct.pack("<I", error) + _public() + struct.pack("<IIII", 1, 0, 4 + KEY_BYTES + 12, 0b1001)
    end.sendall(HEADER.pack(MAGIC, 2, 2, len(body)) + body)


def _public() -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return _key().public_key().public_bytes(serialization.Encoding.DER, form)


def _read(end: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = end.recv(size - len(data))
        if not part:
            raise ConnectionError("the viewer left")
        data += part
    return bytes(data)
