"""Parts of the keeper's program that need no process: messages, packets, names, filters, what is allowed."""

from __future__ import annotations

import os
import socket
import struct

import pytest

from harness.worlds.live import _filtering, _names, _packets, _relaying
from harness.worlds.live._messages import Channel

QUERY = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"\x03Api\x07example\0" + struct.pack("!HH", 1, 1)
TCP_V4 = bytes.fromhex(
    "4500003c06c9400040065dd0c6120001080808088d9801bb17a0f5f400000000a002ffd7d65100000204ffd70402080a000000000000000001030307"
)
UDP_V4 = bytes.fromhex("4500001d1f47400040114566c61200010808080881fa00630009d63d78")


class TestMessages:
    def pair(self) -> tuple[Channel, Channel]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return Channel(ours), Channel(theirs)

    def test_a_message_with_descriptors_arrives_whatever_its_size(self) -> None:
        ours, theirs = self.pair()
        for size in (1, 200_000):
            reading, writing = os.pipe()
            assert ours.send({"text": "ä" * size}, (writing,))
            received = theirs.receive()
            assert received is not None
            message, (passed,) = received
            assert message == {"text": "ä" * size}
            os.write(passed, b"x")
            assert os.read(reading, 2) == b"x"
            os.close(passed)
            assert os.read(reading, 2) == b""  # no copy of it is left open
            os.close(reading)
        ours.close()
        theirs.close()

    def test_what_does_not_fit_waits_in_order(self) -> None:
        ours, theirs = self.pair()
        sent = 0
        while ours.send({"n": sent, "fill": "x" * 10_000}):
            sent += 1
        ours.send({"n": sent + 1, "fill": ""})
        assert ours.waiting_bytes > 10_000
        for number in range(sent + 2):
            received = theirs.receive()
            assert received is not None
            assert received[0]["n"] == number
            ours.flush()
        assert ours.waiting_bytes == 0
        ours.close()
        assert theirs.receive() is None
        with pytest.raises(OSError, match=r"pipe|reset"):
            theirs.send({})
        theirs.close()


class TestPackets:
    def test_what_it_says(self) -> None:
        packet = _packets.parse(TCP_V4)
        assert packet is not None
        assert (packet.source, packet.source_port, packet.to, packet.to_port) == ("198.18.0.1", 36248, "8.8.8.8", 443)
        assert (packet.protocol, packet.flags, packet.sequence) == (_packets.TCP, 2, 0x17A0F5F4)
        assert not packet.is_refusal

    def test_a_reset_is_one_that_the_asker_believes(self) -> None:
        packet = _packets.parse(TCP_V4)
        assert packet is not None
        answer = _packets.reset(packet)
        back = _packets.parse(answer)
        assert back is not None
        assert (back.source, back.source_port, back.to, back.to_port) == ("8.8.8.8", 443, "198.18.0.1", 36248)
        assert back.is_refusal
        assert struct.unpack_from("!I", answer, 28)[0] == 0x17A0F5F5
        assert _packets._checksum(answer[:20]) == 0
        assert _packets._checksum(answer[12:20] + struct.pack("!II", 20, 6) + answer[20:]) == 0

    def test_an_unreachable_port_quotes_what_was_sent(self) -> None:
        packet = _packets.parse(UDP_V4)
        assert packet is not None
        answer = _packets.unreachable(packet)
        assert (answer[9], answer[20:22]) == (_packets.ICMP, b"\3\3")
        assert answer[28:] == UDP_V4
        assert _packets._checksum(answer[20:]) == 0

    def test_no_route_is_about_the_packet_in_it(self) -> None:
        inner = struct.pack("!IHBB", 6 << 28, 8, 17, 64) + b"\x20\x01" + bytes(13) + b"\1" + b"\xfd" + bytes(15)
        inner += struct.pack("!HHHH", 5, 99, 8, 0)
        error = struct.pack("!IHBB", 6 << 28, 8 + len(inner), 58, 64) + bytes(32) + struct.pack("!BBHI", 1, 0, 0, 0)
        packet = _packets.parse(error + inner)
        assert packet is not None
        assert (packet.source_port, packet.to, packet.to_port) == (5, "fd00::", 99)

    @pytest.mark.parametrize("size", range(0, 44))
    def test_a_piece_of_a_packet_is_none_or_plain(self, size: int) -> None:
        for whole in (TCP_V4, UDP_V4, b"\x60" + bytes(5) + b"\x3a" + bytes(33) + b"\1" + bytes(30)):
            packet = _packets.parse(whole[:size])
            assert packet is None or packet.whole == whole[:size]

    def test_later_fragments_are_left_out(self) -> None:
        assert _packets.parse(UDP_V4[:6] + b"\0\1" + UDP_V4[8:]) is None


class TestNames:
    NAMES = _names.Names({"api.example": "127.81.0.1"})

    def ask(self, name: str, kind: int = 1) -> tuple[bool, bytes]:
        labels = b"".join(bytes([len(x)]) + x.encode() for x in name.split("."))
        query = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)
        question = _names.parse(query)
        assert question is not None
        return self.NAMES.is_known(question), self.NAMES.answer(question)

    def test_what_is_allowed_has_an_address(self) -> None:
        question = _names.parse(QUERY)
        assert question is not None
        assert question.name == "api.example"
        answer = self.NAMES.answer(question)
        assert answer[:2] == b"\0\7"
        assert answer.endswith(socket.inet_aton("127.81.0.1"))
        assert self.NAMES.at("127.81.0.1") == "api.example"

    @pytest.mark.parametrize(
        ("name", "known", "code", "answers"),
        [
            ("localhost", True, 0, 1),
            ("a.localhost", True, 0, 1),
            (socket.gethostname(), True, 0, 1),
            ("other.example", False, 3, 0),
            ("api.example.org", False, 3, 0),
        ],
    )
    def test_others(self, name: str, known: bool, code: int, answers: int) -> None:
        was_known, answer = self.ask(name)
        assert (was_known, answer[3] & 0xF, answer[7]) == (known, code, answers)

    def test_there_is_no_other_kind_of_address(self) -> None:
        known, answer = self.ask("api.example", kind=28)
        assert (known, answer[3] & 0xF, answer[7]) == (True, 0, 0)

    @pytest.mark.parametrize(("name", "known"), [("1.0.0.127.in-addr.arpa", True), ("8.8.8.8.in-addr.arpa", False)])
    def test_what_an_address_is_called(self, name: str, known: bool) -> None:
        assert self.ask(name, kind=12)[0] is known

    @pytest.mark.parametrize(
        "data", [b"", QUERY[:12], QUERY[:20], QUERY[:-1], b"\0\7\x81\0" + QUERY[4:], QUERY[:12] + b"\xc0\x0c" * 9]
    )
    def test_what_is_no_question(self, data: bytes) -> None:
        assert _names.parse(data) is None


class TestAllowed:
    def test_each_host_has_an_address_inside(self) -> None:
        found = _relaying.entries(
            ["B.example:443", "b.example:80", "c.example:1", "localhost:5", "10.0.0.5:6", "[2001:db8::1]:7"]
        )
        assert [(e.host, e.port, e.is_literal) for e in found] == [
            ("b.example", 443, False), ("b.example", 80, False), ("c.example", 1, False),
            ("localhost", 5, False), ("10.0.0.5", 6, True), ("2001:db8::1", 7, True),
        ]  # fmt: skip
        b, again, c, here, *literal = [e.address for e in found]
        assert b == again != c
        assert b.startswith("127.81.")
        assert here == "127.0.0.1"
        assert literal == ["10.0.0.5", "2001:db8::1"]


class TestFilters:
    def test_every_jump_has_somewhere_to_go(self) -> None:
        made = _filtering.assembled(_filtering._PROGRAM)
        lines = [struct.unpack_from("=HBBI", made, at) for at in range(0, len(made), 8)]
        assert len(lines) == sum(not isinstance(line, str) for line in _filtering._PROGRAM)
        assert all(at + 1 + max(yes, no) < len(lines) for at, (_, yes, no, _) in enumerate(lines[:-1]))

    def test_the_kernel_takes_it(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            _filtering.attach(any_socket)
