"""Leaks: what the target's processes send to anywhere outside is seen, told, and answered at once with "nobody there".

In the keeper's network nothing is delivered but to loopback addresses: the kernel drops the rest after showing it to a
sniffer. So whoever asked still waits when we look who it was. Stdlib only: a part of the keeper's program.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import IO

from harness.worlds.live import _filtering, _names, _packets
from harness.worlds.live._namespaces import OWN_V4, OWN_V6, RESOLVERS
from harness.worlds.live._packets import Packet

_EVERY_PROTOCOL, _IP, _IP_V6 = 0x0003, 0x0800, 0x86DD
_DNS_PORT = 53
_MOST_BYTES = 2048
_MOST_PACKETS_A_TURN = 64
_FLOWS = 4096
#: of the same kind, then it is known; the rest is only answered
_MOST_ALIKE = 50
_PROTOCOLS = {_packets.TCP: "tcp", _packets.UDP: "udp", _packets.ICMP: "icmp", _packets.ICMP_V6: "icmp"}
_ANSWERED_ERRORS = (errno.ENETUNREACH, errno.EPERM, errno.EINVAL, errno.EAFNOSUPPORT, errno.ENOBUFS)

#: address, port, protocol, name, process id (0: unknown)
Report = Callable[[str, int, str, str, int], None]


class Sniffer:
    """Watches the loopback device of its network namespace; call `look` when it can be read."""

    def __init__(
        self, names: _names.Names, report: Report, allowed: Collection[tuple[str, int]], outside: Outside
    ) -> None:
        self._names, self._report, self._allowed, self._outside = names, report, allowed, outside
        self._flows: OrderedDict[tuple[object, ...], None] = OrderedDict()
        self._alike: dict[tuple[object, ...], int] = {}
        #: our own connections to ports where nobody listens yet
        self.dialled: dict[int, int] = {}
        self._answers = {4: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)}
        with contextlib.suppress(OSError):  # a machine without IPv6
            self._answers[6] = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        _filtering.attach(self._socket)
        self._socket.bind(("lo", _EVERY_PROTOCOL))
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    def look(self) -> None:
        """Tell and answer what has come."""
        for _ in range(_MOST_PACKETS_A_TURN):
            try:
                data = self._socket.recv(_MOST_BYTES)
            except BlockingIOError:
                return
            packet = _packets.parse(data)
            if packet is not None:
                self._judge(packet)

    def _judge(self, packet: Packet) -> None:
        if _is_here(packet.to):
            if packet.is_refusal and _is_here(packet.source):
                self._refused(packet)
            return
        if (packet.to, packet.to_port) in self._allowed:
            return
        question = _names.parse(packet.payload) if packet.to_port == _DNS_PORT else None
        self._tell(packet, question.name if question else "")
        self._answer(packet, question)  # only now: whoever asked must still be there to be looked for

    def asked(self, question: _names.Question, source_port: int) -> None:
        """A name was asked at our own name server."""
        if self._names.is_known(question) or self._is_enough("dns", question.name):
            return
        process = process_of(_packets.UDP, source_port)
        # a resolver asks for both kinds of address, and again with a suffix
        if self._is_new("dns", question.name, process or source_port):
            self._report(RESOLVERS[0], _DNS_PORT, "dns", question.name, process)

    def _refused(self, packet: Packet) -> None:
        """Nobody listens there, here. Is it a host of which only another port is allowed, or does somebody outside?"""
        port, name = packet.source_port, self._names.at(packet.source)
        if self.dialled.get(port):
            self.dialled[port] -= 1
        elif name or self._is_elsewhere(port):
            self._report(packet.source, port, "tcp", name, process_of(_packets.TCP, packet.to_port))

    def _is_elsewhere(self, port: int) -> bool:
        here = listening("/proc/self/net/tcp", "/proc/self/net/tcp6")
        return port in self._outside.listening() and port not in here

    def _tell(self, packet: Packet, name: str) -> None:
        protocol = _PROTOCOLS.get(packet.protocol, str(packet.protocol))
        what = (protocol, packet.to, packet.to_port, name)
        if self._is_new(*what, packet.source, packet.source_port) and not self._is_enough(*what):
            self._report(packet.to, packet.to_port, protocol, name, process_of(packet.protocol, packet.source_port))

    def _is_enough(self, *what: object) -> bool:
        """Somebody tries again and again: looking for him each time would leave us no time for anything else."""
        self._alike[what] = self._alike.get(what, 0) + 1
        return self._alike[what] > _MOST_ALIKE

    def _is_new(self, *flow: object) -> bool:
        """Once a flow: neither every datagram nor what TCP repeats."""
        if flow in self._flows:
            return False
        self._flows[flow] = None
        if len(self._flows) > _FLOWS:
            self._flows.popitem(last=False)
        return True

    def _answer(self, packet: Packet, question: _names.Question | None) -> None:
        if packet.protocol == _packets.TCP:
            reply = _packets.reset(packet)
        elif packet.protocol != _packets.UDP or ipaddress.ip_address(packet.to).is_multicast:
            return
        elif question is not None:
            reply = _packets.datagram(packet, self._names.answer(question))
        else:
            reply = _packets.unreachable(packet)
        try:
            self._answers[packet.version].sendto(reply, (packet.source, 0))
        except OSError as error:
            # it only has to wait longer for nothing
            if error.errno not in _ANSWERED_ERRORS:
                raise


class Outside:
    """What listens on this machine's own network: read by descriptors that were opened before we left it."""

    def __init__(self) -> None:
        self._tables = [_opened(path) for path in ("/proc/self/net/tcp", "/proc/self/net/tcp6")]

    def listening(self) -> set[int]:
        """Ports, at whatever address."""
        found: set[int] = set()
        for table in self._tables:
            if table is not None:
                table.seek(0)
                found |= _listening(table)
        return found


def listening(*paths: str) -> set[int]:
    """Ports at which somebody listens in the network of now."""
    found: set[int] = set()
    for table in map(_opened, paths):
        if table is not None:
            with table:
                found |= _listening(table)
    return found


def process_of(protocol: int, port: int) -> int:
    """Whose socket has that local port; 0 when nobody's, any more."""
    if not port:
        return 0
    kind = "tcp" if protocol == _packets.TCP else "udp"
    wanted = {f"socket:[{inode}]" for inode in _inodes((f"/proc/self/net/{kind}", f"/proc/self/net/{kind}6"), port)}
    return next((pid for pid in _processes_with(wanted)), 0) if wanted else 0


def _processes_with(wanted: Collection[str]) -> list[int]:
    """Who holds one of these sockets; ourselves left out."""
    found = []
    for pid in (int(e) for e in os.listdir("/proc") if e.isdecimal() and int(e) != os.getpid()):
        with contextlib.suppress(OSError):  # it has ended, or isn't ours to look into
            if any(_link(f"/proc/{pid}/fd/{fd}") in wanted for fd in os.listdir(f"/proc/{pid}/fd")):
                found.append(pid)
    return found


def _link(path: str) -> str:
    with contextlib.suppress(OSError):  # closed meanwhile
        return os.readlink(path)
    return ""


def _inodes(paths: Collection[str], port: int) -> list[str]:
    found = []
    for table in map(_opened, paths):
        if table is not None:
            with table:
                rows = (line.split() for line in table.readlines()[1:])
                found += [r[9] for r in rows if int(r[1].rpartition(":")[2], 16) == port and r[9] != "0"]
    return found


def _listening(table: IO[str]) -> set[int]:
    rows = (line.split() for line in table.readlines()[1:])
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}


def _opened(path: str) -> IO[str] | None:
    return open(path, encoding="ascii") if os.path.exists(path) else None


def _is_here(address: str) -> bool:
    return address in (str(OWN_V4), str(OWN_V6), "::1") or address.startswith("127.")
