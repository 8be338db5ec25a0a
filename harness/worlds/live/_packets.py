"""IP packets, as far as a keeper has to read and answer them. Stdlib only: a part of its program.

Formats: RFC 791 and 8200 (IP), 9293 (TCP), 768 (UDP), 792 and 4443 (ICMP), 1071 (checksum).
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass

TCP, UDP, ICMP, ICMP_V6 = socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6
_RST, _ACK = 0x04, 0x10
_PORT_UNREACHABLE_V4, _PORT_UNREACHABLE_V6 = (3, 3), (1, 4)
_NO_ROUTE_V6 = 1
_V6_HEAD, _ICMP_HEAD, _UDP_HEAD = 40, 8, 8
#: of a packet that an ICMP error gives back
_QUOTED_BYTES = 128


@dataclass(frozen=True)
class Packet:
    """One packet; ports are 0 where its protocol has none."""

    version: int
    protocol: int
    source: str
    source_port: int
    to: str
    to_port: int
    #: TCP only
    flags: int
    sequence: int
    #: what follows the header of its protocol
    payload: bytes
    whole: bytes

    @property
    def is_refusal(self) -> bool:
        """A kernel's answer to a SYN that nobody listened for."""
        return self.protocol == TCP and self.flags & (_RST | _ACK) == _RST | _ACK and self.sequence == 0


def parse(data: bytes) -> Packet | None:
    """A packet; of an ICMPv6 error that says "no route" the packet that had none. None: not one to read."""
    if len(data) < 20:
        return None
    if data[0] >> 4 == 4:
        if struct.unpack_from("!H", data, 6)[0] & 0x1FFF:
            return None  # a later fragment: its first one was told
        return _transport(data, data[9], slice(12, 16), slice(16, 20), (data[0] & 0xF) * 4)
    if data[0] >> 4 != 6 or len(data) < _V6_HEAD:
        return None
    if data[6] == ICMP_V6 and len(data) > _V6_HEAD and data[_V6_HEAD] == _NO_ROUTE_V6:
        # Linux has no routes by loopback for IPv6: it makes them rejections, and says so to the sender
        return parse(data[_V6_HEAD + _ICMP_HEAD :])
    return _transport(data, data[6], slice(8, 24), slice(24, 40), _V6_HEAD)


def _transport(data: bytes, protocol: int, source: slice, to: slice, at: int) -> Packet | None:
    ports, flags, sequence, payload = (0, 0), 0, 0, b""
    if protocol == TCP and len(data) >= at + 14:
        ports, sequence, flags = struct.unpack_from("!HH", data, at), *struct.unpack_from("!I5xB", data, at + 4)
    elif protocol == UDP and len(data) >= at + _UDP_HEAD:
        ports, payload = struct.unpack_from("!HH", data, at), data[at + _UDP_HEAD :]
    elif protocol in (TCP, UDP):
        return None
    names = str(ipaddress.ip_address(data[source])), str(ipaddress.ip_address(data[to]))
    return Packet(data[0] >> 4, protocol, names[0], ports[0], names[1], ports[1], flags, sequence, payload, data)


def reset(packet: Packet) -> bytes:
    """The answer to a SYN: nobody listens."""
    ports = struct.pack("!HH", packet.to_port, packet.source_port)
    head = ports + struct.pack("!IIBBHHH", 0, (packet.sequence + 1) & 0xFFFFFFFF, 0x50, _RST | _ACK, 0, 0, 0)
    return _answer(packet, TCP, head, 16)


def datagram(packet: Packet, payload: bytes) -> bytes:
    """An answer by UDP."""
    head = struct.pack("!HHHH", packet.to_port, packet.source_port, _UDP_HEAD + len(payload), 0)
    return _answer(packet, UDP, head + payload, 6)


def unreachable(packet: Packet) -> bytes:
    """The ICMP error that says: nobody listens on that port."""
    kind, code = _PORT_UNREACHABLE_V4 if packet.version == 4 else _PORT_UNREACHABLE_V6
    body = struct.pack("!BBHI", kind, code, 0, 0) + packet.whole[:_QUOTED_BYTES]
    return _answer(packet, ICMP if packet.version == 4 else ICMP_V6, body, 2)


def _answer(packet: Packet, protocol: int, body: bytes, checksum_at: int) -> bytes:
    """A packet back to the sender, from where he sent his to."""
    source, to = (ipaddress.ip_address(a).packed for a in (packet.to, packet.source))
    pseudo = b"" if protocol == ICMP else source + to + struct.pack("!II", len(body), protocol)
    checksum = struct.pack("!H", _checksum(pseudo + body) or 0xFFFF)
    body = body[:checksum_at] + checksum + body[checksum_at + 2 :]
    if packet.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + source + to + body
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + source + to
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + body


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
