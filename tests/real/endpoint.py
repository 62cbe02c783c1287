"""What a light endpoint does in its network namespace, with the standard library alone."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
import time
from collections.abc import Callable


def checksum(data: bytes) -> int:
    """The internet's checksum."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


DO_NOT_CUT = 2  # IP_PMTUDISC_DO, as the value of IP_MTU_DISCOVER
IP_MTU_DISCOVER = 10


def ping(address: str, source: str = "", size: str = "") -> str:
    """``yes`` where an echo request is answered within a second, else ``no``.

    With ``size`` its IP packet has so many bytes and must not be cut; ``too big`` where the card refuses it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as s:
        if source:
            s.bind((source, 0))
        if size:
            s.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, DO_NOT_CUT)
        body = os.urandom(16) + bytes((int(size) - 44) if size else 0)
        head = struct.pack(">BBHHH", 8, 0, 0, os.getpid() & 0xFFFF, 1)
        number = checksum(head + body + bytes(len(body) % 2))
        try:
            s.sendto(struct.pack(">BBHHH", 8, 0, number, os.getpid() & 0xFFFF, 1) + body, (address, 0))
        except OSError as error:
            return "too big" if error.errno == errno.EMSGSIZE else "no"
        end = time.monotonic() + 1.0
        while (left := end - time.monotonic()) > 0:
            s.settimeout(left)
            try:
                answer = s.recv(4096)
            except TimeoutError:
                break
            if answer[20] == 0 and answer.endswith(body):
                return "yes"
    return "no"


def lease(device: str) -> str:
    """Address, mask, router, resolvers, MTU and domain, as a DHCP server grants them; nothing without one."""
    with open(f"/sys/class/net/{device}/address") as file:
        mac = bytes.fromhex(file.read().strip().replace(":", ""))
    number = os.urandom(4)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        s.bind(("", 68))
        s.settimeout(1.0)

        def ask(kind: int, *options: bytes) -> tuple[str, dict[int, bytes]] | None:
            fixed = struct.pack(">BBBB4sHH16s16s192x", 1, 1, 6, 0, number, 0, 0x8000, bytes(16), mac.ljust(16, b"\0"))
            wish = bytes([55, 5, 1, 3, 6, 15, 26])
            text = b"\x63\x82\x53\x63" + bytes([53, 1, kind]) + b"".join(options) + wish + b"\xff"
            for _attempt in range(5):
                s.sendto(fixed + text, ("255.255.255.255", 67))
                try:
                    answer = s.recv(1500)
                except TimeoutError:
                    continue
                if answer[4:8] == number:
                    return socket.inet_ntoa(answer[16:20]), options_of(answer[240:])
            return None

        offer = ask(1)
        if offer is None:
            return ""
        granted = ask(3, bytes([50, 4]) + socket.inet_aton(offer[0]), bytes([54, 4]) + offer[1][54])
        if granted is None or granted[1][53] != b"\x05":
            return ""
        address, found = granted
        words = [socket.inet_ntoa(found[n][:4]) for n in (1, 3, 6)]
        return " ".join([address, *words, str(int.from_bytes(found[26], "big")), found.get(15, b"-").decode()])


def options_of(data: bytes) -> dict[int, bytes]:
    """DHCP options by number."""
    found = {}
    while data and data[0] != 255:
        if data[0] == 0:
            data = data[1:]
            continue
        found[data[0]] = data[2 : 2 + data[1]]
        data = data[2 + data[1] :]
    return found


def name(hostname: str, server: str) -> str:
    """The address that a name server gives for a name; nothing without an answer."""
    asked = b"".join(bytes([len(p)]) + p.encode() for p in hostname.split(".")) + b"\0"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(2)
        s.sendto(struct.pack(">HHHHHH", 7, 256, 1, 0, 0, 0) + asked + struct.pack(">HH", 1, 1), (server, 53))
        try:
            return socket.inet_ntoa(s.recv(500)[-4:])
        except TimeoutError:
            return ""


def call(address: str, port: str) -> str:
    """What a TCP server answers; nothing where it is not reached within a second."""
    try:
        with socket.create_connection((address, int(port)), timeout=1.0) as s:
            return s.recv(100).decode()
    except OSError:
        return ""


def serve(port: str, word: str = "") -> str:
    """Answer every TCP connection with a word, or with the caller's address, for ever."""
    with socket.create_server(("0.0.0.0", int(port))) as s:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            connection, peer = s.accept()
            with connection:
                connection.sendall((word or peer[0]).encode())


def sink(port: str) -> str:
    """Swallow whatever a TCP connection sends and answer with bytes and seconds, for ever."""
    with socket.create_server(("0.0.0.0", int(port))) as s:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            connection, _peer = s.accept()
            with connection:
                count, begun = 0, time.monotonic()
                while data := connection.recv(1 << 16):
                    count += len(data)
                connection.sendall(f"{count} {time.monotonic() - begun}".encode())


def pour(address: str, port: str, seconds: str) -> str:
    """Megabits a second that a `sink` got in so many seconds; nothing where it is not reached."""
    try:
        with socket.create_connection((address, int(port)), timeout=2.0) as s:
            s.settimeout(float(seconds) + 10)
            block, end = bytes(1 << 15), time.monotonic() + float(seconds)
            while time.monotonic() < end:
                s.sendall(block)
            s.shutdown(socket.SHUT_WR)
            count, took = s.recv(100).split()
            return f"{int(count) * 8 / float(took) / 1e6:.2f}"
    except OSError:
        return ""


def announce(device: str, address: str) -> str:
    """Tell all neighbours that the address is at this card now."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind((device, 0x0806))
        mac, own = s.getsockname()[4], socket.inet_aton(address)
        request = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + mac + own + bytes(6) + own
        for _again in range(3):
            s.send(b"\xff" * 6 + mac + b"\x08\x06" + request)
    return "yes"


def sniff(device: str, seconds: str) -> str:
    """Every frame that the card sees for so long, one a line, in hexadecimal digits."""
    every = 0x0003  # ETH_P_ALL
    found, end = [], time.monotonic() + float(seconds)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(every)) as s:
        s.bind((device, 0))
        while (left := end - time.monotonic()) > 0:
            s.settimeout(left)
            try:
                found.append(s.recv(1 << 16).hex())
            except TimeoutError:
                break
    return "\n".join(found)


COMMANDS: dict[str, Callable[..., str]] = {
    "ping": ping, "lease": lease, "name": name, "call": call, "serve": serve, "sink": sink, "pour": pour,
    "sniff": sniff, "announce": announce,
}  # fmt: skip

if __name__ == "__main__":
    sys.stdout.write(COMMANDS[sys.argv[1]](*sys.argv[2:]))
