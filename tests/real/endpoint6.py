"""What a light endpoint does by IPv6 and with names in its network namespace, with the standard library alone."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import sys
import time
from collections.abc import Callable

SERVERS = "ff02::1:2"
SOLICIT, ADVERTISE, REQUEST, REPLY, INFORM = 1, 2, 3, 7, 11


def ping(address: str, size: str = "16") -> str:
    """``yes`` where an echo request with so many bytes is answered within a second."""
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as s:
        body = os.urandom(int(size))
        number = os.getpid() & 0xFFFF
        try:
            s.sendto(struct.pack(">BBHHH", 128, 0, 0, number, 1) + body, (address, 0))
        except OSError:
            return "no"
        end = time.monotonic() + 1.0
        while (left := end - time.monotonic()) > 0:
            s.settimeout(left)
            try:
                answer = s.recv(9000)
            except TimeoutError:
                break
            if answer[0] == 129 and answer.endswith(body):
                return "yes"
    return "no"


def lease(device: str, way: str = "stateful") -> str:
    """Address (``-`` for none), name servers and domains, as a DHCPv6 server grants them; nothing without one."""
    with open(f"/sys/class/net/{device}/address") as file:
        mac = bytes.fromhex(file.read().strip().replace(":", ""))
    me = struct.pack(">HHHH", 1, 10, 3, 1) + mac
    wish = struct.pack(">HHHH", 6, 4, 23, 24)
    elapsed = struct.pack(">HHH", 8, 2, 0)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        s.bind(("::", 546))
        s.settimeout(1.0)
        target = (SERVERS, 547, 0, socket.if_nametoindex(device))

        def ask(kind: int, expected: int, more: bytes) -> dict[int, bytes]:
            number = os.urandom(3)
            for _attempt in range(5):
                s.sendto(bytes([kind]) + number + me + wish + elapsed + more, target)
                try:
                    answer = s.recv(1500)
                except TimeoutError:
                    continue
                if answer[0] == expected and answer[1:4] == number:
                    return options_of(answer[4:])
            return {}

        if way == "stateless":
            found = ask(INFORM, REPLY, b"")
        else:
            wanted = struct.pack(">HHIII", 3, 12, 1, 0, 0)
            offer = ask(SOLICIT, ADVERTISE, wanted)
            if not offer:
                return ""
            server = struct.pack(">HH", 2, len(offer[2])) + offer[2]
            same = struct.pack(">HH", 3, len(offer[3])) + offer[3] if 3 in offer else wanted
            found = ask(REQUEST, REPLY, server + same)
        if not found:
            return ""
        given = options_of(found[3][12:]).get(5, b"") if 3 in found else b""
        address = socket.inet_ntop(socket.AF_INET6, given[:16]) if given else "-"
        servers = found.get(23, b"")
        listed = [socket.inet_ntop(socket.AF_INET6, servers[i : i + 16]) for i in range(0, len(servers), 16)]
        return " ".join([address, ",".join(listed) or "-", labels(found.get(24, b"")) or "-"])


def options_of(data: bytes) -> dict[int, bytes]:
    """DHCPv6 options by number."""
    found = {}
    while len(data) >= 4:
        kind, size = struct.unpack(">HH", data[:4])
        found[kind] = data[4 : 4 + size]
        data = data[4 + size :]
    return found


def labels(data: bytes) -> str:
    """A name without pointers, as text."""
    found = []
    while data and data[0]:
        found.append(data[1 : 1 + data[0]].decode())
        data = data[1 + data[0] :]
    return ".".join(found)


def ask(name: str, server: str, kind: str = "A") -> str:
    """What a name server answers: its code (or ``silence``), then addresses or a name."""
    number = {"A": 1, "AAAA": 28, "PTR": 12, "CNAME": 5, "ANY": 255}[kind]
    asked = b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0"
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(2)
        s.sendto(struct.pack(">HHHHHH", 7, 256, 1, 0, 0, 0) + asked + struct.pack(">HH", number, 1), (server, 53))
        try:
            answer = s.recv(2000)
        except TimeoutError:
            return "silence"
        except OSError as error:
            return f"error {error.errno}"
    code, count = answer[3] & 15, struct.unpack(">H", answer[6:8])[0]
    rest = answer[12 + len(asked) + 4 :]
    found = []
    for _record in range(count):
        rest = rest[2:] if rest[0] >= 192 else rest[len(labels_raw(rest)) :]
        of, _class, _ttl, size = struct.unpack(">HHIH", rest[:10])
        data = rest[10 : 10 + size]
        found.append(str(ipaddress.ip_address(data)) if of in (1, 28) else labels(data))
        rest = rest[10 + size :]
    return " ".join([str(code), *sorted(found)])


def labels_raw(data: bytes) -> bytes:
    """A name without pointers, as it stands."""
    end = 0
    while data[end]:
        end += 1 + data[end]
    return data[: end + 1]


def look(name: str, server: str, domain: str) -> str:
    """How long the C library takes to find a name's addresses, seconds, and what they are."""
    with open("/etc/resolv.conf", "w") as file:
        file.write(f"nameserver {server}\nsearch {domain}\n")
    began = time.monotonic()
    try:
        found = sorted({str(a[4][0]) for a in socket.getaddrinfo(name, None)})
    except OSError as error:
        found = [f"error {error.errno}"]
    return f"{time.monotonic() - began:.2f} {' '.join(found)}"


def options(device: str) -> str:
    """What DHCP of IPv4 says beside the address: MTU, domain, name and time servers, lease, routes; nothing without."""
    with open(f"/sys/class/net/{device}/address") as file:
        mac = bytes.fromhex(file.read().strip().replace(":", ""))
    number = os.urandom(4)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        s.bind(("", 68))
        s.settimeout(0.5)
        fixed = struct.pack(">BBBB4sHH16s16s192x", 1, 1, 6, 0, number, 0, 0x8000, bytes(16), mac.ljust(16, b"\0"))
        wish = bytes([55, 7, 1, 3, 6, 15, 26, 42, 121])
        for _attempt in range(3):
            s.sendto(fixed + b"\x63\x82\x53\x63" + bytes([53, 1, 1]) + wish + b"\xff", ("255.255.255.255", 67))
            try:
                answer = s.recv(1500)
            except TimeoutError:
                continue
            if answer[4:8] == number:
                return said(answer[240:])
    return ""


def said(data: bytes) -> str:
    """DHCP's options in words."""
    found: dict[int, bytes] = {}
    while data and data[0] != 255:
        if data[0] == 0:
            data = data[1:]
            continue
        found[data[0]] = data[2 : 2 + data[1]]
        data = data[2 + data[1] :]
    servers = [",".join(socket.inet_ntoa(found[n][i : i + 4]) for i in range(0, len(found[n]), 4))
               if n in found else "-" for n in (6, 42)]  # fmt: skip
    numbers = [str(int.from_bytes(found[n])) for n in (26, 51)]
    return " ".join([numbers[0], found.get(15, b"-").decode(), *servers, numbers[1], ways(found.get(121, b""))])


def ways(data: bytes) -> str:
    """Classless routes in words."""
    listed = []
    while data:
        length = data[0]
        octets = (length + 7) // 8
        target = socket.inet_ntoa(data[1 : 1 + octets].ljust(4, b"\0"))
        listed.append(f"{target}/{length}>{socket.inet_ntoa(data[1 + octets : 5 + octets])}")
        data = data[5 + octets :]
    return ",".join(listed) or "-"


def checksum(data: bytes) -> int:
    """The internet's checksum."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def tagged(device: str, address: str, tag: str, sender: str, seconds: str) -> str:
    """Be a machine behind a VLAN tag, which answers ARP and pings that carry it, as many seconds as asked; then the
    tags of all frames that ``sender`` sent, ``-`` for none. The kernel needs to know no VLANs for it."""
    me, mine = b"\x02\x00\x00\x00\x00\x2a", socket.inet_aton(address)
    found = set()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as s:
        s.bind((device, 0))
        s.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA: the kernel takes tags off frames and tells them apart
        # In promiscuous mode (PACKET_ADD_MEMBERSHIP), since the machine's address is not the card's.
        s.setsockopt(263, 1, struct.pack("IHH8s", socket.if_nametoindex(device), 1, 0, b""))
        end = time.monotonic() + float(seconds)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while (left := end - time.monotonic()) > 0:
            s.settimeout(left)
            try:
                frame, told, _flags, _peer = s.recvmsg(2000, 200)
            except TimeoutError:
                break
            if frame[6:12] != bytes.fromhex(sender.replace(":", "")):
                continue
            number, frame = tag_of(frame, told)
            found.add("-" if number is None else str(number))
            answer = reply(frame, me, mine) if number == int(tag) else b""
            if answer:
                s.send(answer[:12] + struct.pack(">HH", 0x8100, int(tag)) + answer[12:])
    return ",".join(sorted(found))


def tag_of(frame: bytes, told: list[tuple[int, int, bytes]]) -> tuple[int | None, bytes]:
    """The VLAN tag of a frame, and the frame without it."""
    for level, kind, data in told:
        if level == 263 and kind == 8:
            status, _len, _snap, _mac, _net, tag = struct.unpack("=IIIHHH", data[:18])
            if status & 16:  # TP_STATUS_VLAN_VALID
                return tag & 4095, frame
    if frame[12:14] == b"\x81\x00":
        return struct.unpack(">H", frame[14:16])[0] & 4095, frame[:12] + frame[16:]
    return None, frame


def reply(frame: bytes, me: bytes, mine: bytes) -> bytes:
    """What a machine answers to a question for its address by ARP, or to a ping; nothing else."""
    peer, kind = frame[6:12], frame[12:14]
    if kind == b"\x08\x06" and frame[20:22] == b"\x00\x01" and frame[38:42] == mine:
        return peer + me + kind + frame[14:20] + b"\x00\x02" + me + mine + frame[22:32]
    packet = frame[14:]
    if kind == b"\x08\x00" and packet[9] == 1 and packet[16:20] == mine and packet[20] == 8:
        size = struct.unpack(">H", packet[2:4])[0]
        body = b"\x00" + packet[21:22] + b"\x00\x00" + packet[24:size]
        body = body[:2] + struct.pack(">H", checksum(body)) + body[4:]
        return peer + me + kind + packet[:12] + mine + packet[12:16] + body
    return b""


COMMANDS: dict[str, Callable[..., str]] = {"ping": ping, "lease": lease, "ask": ask, "look": look, "options": options,
                                             "tagged": tagged}  # fmt: skip

if __name__ == "__main__":
    sys.stdout.write(COMMANDS[sys.argv[1]](*sys.argv[2:]))
