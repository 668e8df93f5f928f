"""Frames by hand, held against the driver's own codec."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from rpc_client.frames import Socket
from rpc_client.properties import decode_headers, encode_properties
from rpc_client.reader import HotChannel, Message, Reader

TEXT = st.text(min_size=1, max_size=60)
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        "content_type": TEXT,
        "content_encoding": TEXT,
        "correlation_id": TEXT,
        "reply_to": TEXT,
        "message_id": TEXT,
        "expiration": TEXT,
        "user_id": TEXT,
        "delivery_mode": st.sampled_from([1, 2]),
    },
)


class Sink:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.transport = self
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False


def frames_of(data: bytes) -> list[Any]:
    """What the driver's codec reads."""
    found = []
    while data:
        size, _, frame = pamqp.frame.unmarshal(data)
        found.append(frame)
        data = data[size:]
    return found


def delivery(channel: int, tag: int, body: bytes, properties: dict[str, Any], frame_size: int = 100) -> bytes:
    """A delivery as the driver's codec writes it."""
    header = ContentHeader(properties=commands.Basic.Properties(**properties), body_size=len(body))
    parts = [ContentBody(body[n : n + frame_size]) for n in range(0, len(body), frame_size)]
    deliver = commands.Basic.Deliver("tag", tag, False, "exchange", "read.a.b")
    return b"".join(pamqp.frame.marshal(frame, channel) for frame in [deliver, header, *parts])


@given(body=st.binary(max_size=700), properties=PROPERTIES, mandatory=st.booleans())
def test_what_is_published_reads_as_the_driver_would_have_written_it(body, properties, mandatory):
    socket, sink = Socket(), Sink()
    socket._writer, socket.frame_max = sink, 200

    socket.publish(3, "exchange", "write.a.b", encode_properties(**properties), body, mandatory=mandatory)
    publish, header, *parts = frames_of(sink.written)

    assert (publish.exchange, publish.routing_key, publish.mandatory) == ("exchange", "write.a.b", mandatory)
    assert header.body_size == len(body)
    read = {name: value for name, value in header.properties if value}
    assert {**dict.fromkeys(properties), **read} == properties
    assert b"".join(part.value for part in parts) == body
    assert all(len(part.value) <= 192 for part in parts)


async def test_acknowledgements_read_as_the_driver_s_and_leave_together():
    socket, sink = Socket(), Sink()
    socket._writer = sink

    socket.acknowledge_soon(7, 2**40)
    socket.acknowledge_soon(7, 5)
    socket.acknowledge_now()

    assert [(ack.delivery_tag, ack.multiple) for ack in frames_of(sink.written)] == [(2**40, False), (5, False)]


@given(
    bodies=st.lists(st.tuples(st.binary(max_size=400), PROPERTIES), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 6000), max_size=12),
)
def test_however_the_bytes_arrive_the_hot_frames_are_ours_and_all_others_the_driver_s(bodies, cuts):
    messages: list[Message] = []
    confirms: list[tuple[int, bool, bool]] = []
    hot = HotChannel(messages.append, lambda *confirm: confirms.append(confirm))
    cold = pamqp.frame.marshal(commands.Basic.ConsumeOk("tag"), 1) + pamqp.frame.marshal(Heartbeat(), 0)
    others = delivery(2, 1, b"not ours", {})
    stream, expected_cold = b"", b""
    for tag, (body, properties) in enumerate(bodies):
        stream += delivery(1, tag + 1, body, properties) + cold + others
        stream += pamqp.frame.marshal(commands.Basic.Nack(tag + 1, True), 1)
        expected_cold += cold + others

    async def feed() -> bytes:
        reader = Reader({1: hot})
        for start, end in pairwise(sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})):
            reader.feed_data(stream[start:end])
        reader.feed_eof()
        return await reader.read()

    assert asyncio.run(feed()) == expected_cold
    assert [(message.tag, message.body) for message in messages] == [
        (n + 1, body) for n, (body, _) in enumerate(bodies)
    ]
    for message, (_, properties) in zip(messages, bodies, strict=True):
        assert message.properties == {name: text for name, text in properties.items() if isinstance(text, str)}
    assert confirms == [(n + 1, True, False) for n in range(len(bodies))]


def test_a_returned_message_is_told_from_a_delivered_one():
    messages: list[Message] = []
    header = ContentHeader(properties=commands.Basic.Properties(message_id="q/7"), body_size=4)
    frames = [commands.Basic.Return(312, "NO_ROUTE", "exchange", "read.a.b"), header, ContentBody(b"body")]

    async def feed() -> None:
        Reader({1: HotChannel(messages.append)}).feed_data(b"".join(pamqp.frame.marshal(f, 1) for f in frames))

    asyncio.run(feed())
    (message,) = messages

    assert (message.returned, message.routing_key, message.properties["message_id"]) == (True, "read.a.b", "q/7")


def test_the_driver_hears_a_heartbeat_while_only_hot_frames_come():
    async def feed() -> bytes:
        reader = Reader({1: HotChannel(lambda _: None)})
        reader.feed_data(delivery(1, 1, b"body", {}))
        reader.alive()
        reader.alive()
        reader.feed_eof()
        return await reader.read()

    assert asyncio.run(feed()) == pamqp.frame.marshal(Heartbeat(), 0)


def received(properties: dict[str, Any]) -> Message:
    messages: list[Message] = []

    async def feed() -> None:
        Reader({1: HotChannel(messages.append)}).feed_data(delivery(1, 1, b"body", properties))

    asyncio.run(feed())
    return messages[0]


def test_headers_are_read_when_somebody_asks():
    headers = {"x-death": [{"reason": "expired", "count": 1}], "x-rowcall-error": "é"}

    message = received({"headers": headers, "correlation_id": "c", "user_id": "me"})

    assert decode_headers(message.headers) == headers
    assert message.properties == {"correlation_id": "c", "user_id": "me"}
    assert decode_headers(received({}).headers) == {}


@pytest.mark.parametrize(
    "table",
    [b"\0\0\0\x09\x03abcS", b"\0\0\0\x05\x02\xff\xffVV", b"\0\0\0\x03\x01a?", b"\0\0"],
    ids=["cut", "no UTF-8", "unknown type", "no length"],
)
def test_headers_that_cannot_be_read_are_one_kind_of_error(table):
    with pytest.raises(ValueError, match="headers that cannot be read"):
        decode_headers(table)


def test_a_callback_that_fails_takes_nobody_else_s_frames_along(caplog):
    seen: list[int] = []

    def fail_first(message: Message) -> None:
        seen.append(message.tag)
        if message.tag == 1:
            raise RuntimeError("a bug")

    async def feed() -> None:
        Reader({1: HotChannel(fail_first)}).feed_data(delivery(1, 1, b"a", {}) + delivery(1, 2, b"b", {}))

    asyncio.run(feed())

    assert seen == [1, 2]
    assert "a bug" in caplog.text


def test_a_text_longer_than_amqp_allows_is_refused():
    with pytest.raises(ValueError, match="255 bytes"):
        encode_properties(reply_to="x" * 256)


def test_on_a_closed_connection_nothing_can_be_sent():
    with pytest.raises(ConnectionError):
        Socket().publish(1, "", "queue", encode_properties(), b"")


async def test_an_alarm_at_the_broker_is_seen_begin_and_end():
    socket = Socket()
    socket._reader = reader = Reader({})
    seen = []
    for frame in (commands.Connection.Blocked("low on memory"), Heartbeat(), commands.Connection.Unblocked()):
        reader.feed_data(pamqp.frame.marshal(frame, 0))
        seen.append(socket.blocked)

    assert seen == [True, True, False]
