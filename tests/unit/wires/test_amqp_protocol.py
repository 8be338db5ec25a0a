"""AMQP as bytes, and which message a tag means."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.wires._amqp_channel import Channel, Held, Sent
from harness.wires._amqp_frames import (
    BODY,
    HEADER,
    Answer,
    Content,
    Frame,
    FrameReader,
    answer,
    asking,
    body_size,
    closing,
    frame,
    handling,
    method,
    properties,
)
from harness.wires._messages import Message

FRAMES = st.builds(frame, st.sampled_from([1, 2, 3, 8]), st.integers(0, 5), st.binary(max_size=40))
MESSAGE = Message(command="basic.deliver", queue="q")


def short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def table(*fields: bytes) -> bytes:
    inside = b"".join(fields)
    return struct.pack(">I", len(inside)) + inside


@given(st.data(), st.lists(FRAMES, max_size=8), st.booleans())
@settings(max_examples=300, deadline=None)
def test_frames_are_read_back_however_they_are_cut(data: st.DataObject, frames: list[bytes], greets: bool) -> None:
    stream = (b"AMQP\x00\x00\x09\x01" if greets else b"") + b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    reader = FrameReader()
    found = [f for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) for f in reader.feed(stream[a:b])]
    assert [f.raw for f in found[int(greets) :]] == frames
    assert b"".join(f.raw for f in found) == stream
    assert all(frame(f.kind, f.channel, f.payload) == f.raw for f in found if f.kind)
    assert not reader.lost


@given(st.data(), st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_nothing_is_lost_of_garbage(data: st.DataObject, stream: bytes) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader = FrameReader()
    found = [f for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) for f in reader.feed(stream[a:b])]
    assert b"".join(f.raw for f in found) + reader.drain() == stream


def test_a_frame_too_large_is_not_waited_for() -> None:
    reader = FrameReader(bound=100)
    assert [f.kind for f in reader.feed(frame(1, 0, b"x" * 101))] == [0]
    assert reader.lost


def content(body: bytes, header: bytes = b"\x00\x00") -> Content:
    head = struct.pack(">HHQ", 60, 0, len(body)) + header
    raw = [method("basic.publish", 3, b"\x00\x00" + short("ex") + short("key") + b"\x00"), frame(HEADER, 3, head)]
    raw += [frame(BODY, 3, body[i : i + 10]) for i in range(0, len(body), 10)]
    return Content([f for r in raw for f in FrameReader().feed(r)])


@given(st.binary(max_size=60), st.binary(max_size=60), st.integers(9, 40))
def test_a_message_can_be_replaced(old: bytes, new: bytes, most: int) -> None:
    """Its size is told right, no frame is larger than was agreed, and its properties stay."""
    one = content(old, b"\x80\x00" + short("text/plain"))
    assert one.body == old
    again = Content(FrameReader().feed(one.with_body(new, most)))
    assert again.body == new
    assert body_size(again.header) == len(new)
    assert properties(again.header) == {"content-type": "text/plain"}
    assert all(len(f.raw) <= most for f in again.frames[2:])


def test_properties_and_headers() -> None:
    fields = (
        short("Task") + b"S" + struct.pack(">I", 3) + b"add",
        short("retries") + b"I" + struct.pack(">i", -2),
        short("deep") + b"F" + table(short("x") + b"t\x01"),
        short("list") + b"A" + struct.pack(">I", 2) + b"t\x01",
        short("nothing") + b"V",
        short("ratio") + b"d" + struct.pack(">d", 1.5),
        short("done") + b"t\x01",
    )
    flags = struct.pack(">H", 1 << 15 | 1 << 13 | 1 << 12 | 1 << 10 | 1 << 6)
    header = struct.pack(">HHQ", 60, 0, 0) + flags + short("application/json") + table(*fields)
    header += b"\x02" + short("corr") + struct.pack(">Q", 1_700_000_000)
    assert properties(header) == {
        "content-type": "application/json",
        "task": "add",
        "retries": "-2",
        "done": "true",
        "delivery-mode": "2",
        "correlation-id": "corr",
        "timestamp": "1700000000",
    }


@given(st.binary(max_size=80))
@settings(max_examples=300)
def test_nothing_strange_breaks_the_reading(payload: bytes) -> None:
    """What can't be read says so, by nothing or by ValueError."""
    properties(struct.pack(">HHQ", 60, 0, 0) + payload)
    for read in (
        lambda p: handling("basic.deliver", p),
        lambda p: answer("basic.ack", p),
        lambda p: asking("basic.get", p),
    ):
        try:
            read(payload)
        except ValueError:
            continue


@given(
    st.sampled_from(["basic.ack", "basic.nack", "basic.reject"]), st.integers(0, 2**63), st.booleans(), st.booleans()
)
def test_answers_are_read_back(name: str, tag: int, multiple: bool, requeue: bool) -> None:
    said = Answer(name, tag, multiple and name != "basic.reject", requeue and name != "basic.ack")
    (found,) = FrameReader().feed(said.encode(7))
    assert (found.name, answer(name, found.payload)) == (name, said)


def test_deliveries_and_publications() -> None:
    publish = method("basic.publish", 1, b"\x00\x00" + short("") + short("q") + b"\x00")
    assert handling("basic.publish", publish[7:-1]).address == "q"
    told = short("ctag") + struct.pack(">QB", 9, 1) + short("ex") + short("key")
    found = handling("basic.deliver", b"\x00\x3c\x00\x3c" + told)
    assert (found.consumer, found.tag, found.redelivered, found.address) == ("ctag", 9, True, "ex/key")


def test_channel_close_in_the_broker_s_words() -> None:
    (found,) = FrameReader().feed(closing(1, 406, "PRECONDITION_FAILED - " + "x" * 300))
    assert found.name == "channel.close"
    assert found.payload[4:6] == struct.pack(">H", 406)


def consume(queue: str, tag: str, bits: int = 0) -> bytes:
    return b"\x00\x3c\x00\x14\x00\x00" + short(queue) + short(tag) + bytes([bits]) + table()


def test_who_consumes_what() -> None:
    channel = Channel(1)
    channel.declared("amq.gen-1")
    channel.asks("basic.consume", consume("", ""))
    channel.asks("basic.consume", consume("r", "mine", 2 | 8))
    channel.starts("ctag-1")
    first, second = channel.consumer("ctag-1"), channel.consumer("mine")
    assert first is not None
    assert second is not None
    assert (first.queue, first.acks, second.queue, second.acks) == ("amq.gen-1", True, "r", False)


def test_confirms_are_translated_once_counts_differ() -> None:
    channel = Channel(1, confirms=True)
    for _ in range(3):
        channel.says()
    channel.reaches(Sent(1, MESSAGE, None))
    assert not channel.drifted
    channel.reaches(Sent(0, MESSAGE, None))
    assert channel.drifted
    channel.reaches(Sent(3, MESSAGE, None))
    assert [s.number for s in channel.confirmed(Answer("basic.ack", 3, multiple=True))] == [1, 0, 3]
    assert channel.confirmed(Answer("basic.ack", 3)) == []


def test_an_acknowledgement_for_many_covers_what_the_client_has() -> None:
    channel = Channel(
        1, held={1: Held(MESSAGE, True), 2: Held(MESSAGE), 3: Held(MESSAGE, True), 4: Held(MESSAGE, True)}
    )
    assert not channel.plain
    assert [t for t, _ in channel.answered(Answer("basic.ack", 3, multiple=True))] == [1, 3]
    assert [t for t, _ in channel.answered(Answer("basic.ack", 9))] == []
    assert [t for t, _ in channel.answered(Answer("basic.ack", 0, multiple=True))] == [4]


@pytest.mark.parametrize("name", ["", "basic.ack", "basic.qos"])
def test_a_method_is_named_if_it_matters(name: str) -> None:
    frames = {
        "": frame(BODY, 1, b"1234"),
        "basic.ack": Answer("basic.ack", 1).encode(1),
        "basic.qos": frame(1, 1, b"\0\x3c\0\x0a"),
    }
    found: list[Frame] = FrameReader().feed(frames[name])
    assert [f.name for f in found] == [name if name != "basic.qos" else "method"]
