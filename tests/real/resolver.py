"""A name server for tests: example.org is 192.0.2.80, nothing else exists. Standard library alone."""

from __future__ import annotations

import socket
import struct
import sys

KNOWN = {"example.org": {1: bytes([192, 0, 2, 80])}}


def answer(query: bytes) -> bytes:
    """What is said to a question."""
    name, at = [], 12
    while query[at]:
        name.append(query[at + 1 : at + 1 + query[at]].decode().lower())
        at += 1 + query[at]
    kind = struct.unpack(">H", query[at + 1 : at + 3])[0]
    question = query[12 : at + 5]
    records = KNOWN.get(".".join(name))
    data = records.get(kind) if records else None
    code = 0 if records else 3
    head = query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, 1 if data else 0, 0, 0)
    if data is None:
        return head + question
    return head + question + struct.pack(">HHHIH", 0xC00C, kind, 1, 60, len(data)) + data


def main() -> None:
    """Answer for ever."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((sys.argv[1], 53))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            query, peer = s.recvfrom(2000)
            s.sendto(answer(query), peer)


if __name__ == "__main__":
    main()
