"""What travels, byte by byte."""

from __future__ import annotations

import contextlib
import math
from uuid import UUID, uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpc_client import wire
from rpc_client.arguments import encode_arguments
from rpc_client.errors import Conflict, InvalidRequest, NotFoundError, UnknownRemoteError
from rpc_client.wire import Names

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.text("abcxyz_", min_size=1), json_values, max_size=5))
def test_a_call_comes_out_as_it_went_in(arguments):
    line = wire.encode_call("some-id", "family.method", encode_arguments(arguments), 1_800_000_000_000, 2)

    decoded = wire.decode_line(line)

    assert (decoded.id, decoded.method, decoded.attempt) == ("some-id", "family.method", 2)
    assert decoded.deadline_ms == 1_800_000_000_000
    assert orjson.loads(decoded.arguments) == arguments


@given(st.binary(max_size=200))
def test_whatever_the_bytes_only_invalid_request_is_raised(body):
    # Any other exception fails the test.
    with contextlib.suppress(InvalidRequest):
        for line in wire.split_lines(body):
            wire.decode_line(line)


@given(json_values.filter(lambda value: not isinstance(value, dict)))
def test_json_that_is_no_object_is_invalid(value):
    with pytest.raises(InvalidRequest):
        wire.decode_line(orjson.dumps(value))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "malformed"),
        (b"null", "malformed"),
        (b"[]", "malformed"),
        (b'"x"', "malformed"),
        (b"\xef\xbb\xbf{}", "malformed"),
        ("{}".encode("utf-16"), "malformed"),
        (b'{"method":"a.b","args":{"t":"\xff"}}', "malformed"),
        (b'{"method":"a.b","args":{"t":"\\ud800"}}', "malformed"),
        (b'{"method":"a.b","args":{"n":NaN}}', "invalid_argument"),
        (b'{"method":"a.b","args":{"n":-Infinity}}', "invalid_argument"),
        (b'{"method":"a.b","args":{"n":' + b"1" * 400 + b".0}}", "invalid_argument"),
        (b'{"method":"a.b","args":{"n":' + b"9" * 300 + b"e50}}", "invalid_argument"),
        (b'{"method":"a.b","deadline":NaN}', "deadline"),
        (b'{"method":"a.b","args":{"n":1,}}', "malformed"),
        (b'{"method":"a.b"}{"method":"a.b"}', "malformed"),
        (b'{"args":{}}', "malformed"),
        (b'{"method":5}', "malformed"),
        (b'{"method":"a.b","args":[1]}', "invalid_argument"),
        (b'{"method":"a.b","id":5}', "request_id"),
        (b'{"method":"a.b","v":2}', "version"),
        (b'{"method":"a.b","v":true}', "version"),
        (b'{"method":"a.b","deadline":-5}', "deadline"),
        (b'{"method":"a.b","deadline":"soon"}', "deadline"),
        (b'{"method":"a.b","deadline":1.5}', "deadline"),
        (b'{"method":"a.b","args":{"n":1e400}}', "invalid_argument"),
        (b'{"method":"a.b","args":{"n":18446744073709551616}}', "invalid_argument"),
        (b'{"method":"a.b","args":{"t":"a\\u0000b"}}', "invalid_argument"),
        (b'{"method":"a.b","args":{"t":' + b"[" * 100 + b"]" * 100 + b"}}", "too_deep"),
        (b'{"method":"a.b","args":{"t":' + b"[" * 100_000, "too_deep"),
    ],
)
def test_a_line_that_is_no_call_says_why(line, reason):
    with pytest.raises(InvalidRequest) as caught:
        wire.decode_line(line)

    assert caught.value.details["reason"] == reason


def test_an_escaped_backslash_before_u0000_is_no_nul():
    line = b'{"method":"a.b","args":{"t":"\\\\u0000"}}'

    assert orjson.loads(wire.decode_line(line).arguments) == {"t": "\\u0000"}


def test_the_id_is_told_even_when_the_rest_is_wrong():
    request_id = str(uuid4())

    with pytest.raises(InvalidRequest) as caught:
        wire.decode_line(b'{"id":"%b","method":7}' % request_id.encode())

    assert caught.value.request_id == request_id


def test_keys_are_sorted_so_that_equal_arguments_are_equal_bytes():
    one, other = b'{"method":"a.b","args":{"x":1,"a":2}}', b'{"method":"a.b","args":{"a":2,"x":1}}'

    assert wire.decode_line(one).arguments == wire.decode_line(other).arguments


def test_blank_lines_do_not_count_and_64_calls_are_enough():
    assert wire.split_lines(b"\n{}\n\n{}\n") == [b"{}", b"{}"]
    with pytest.raises(InvalidRequest) as caught:
        wire.split_lines(b"{}\n" * 65)

    assert caught.value.details == {"reason": "too_many_calls", "limit": 64}


def test_nan_is_sent_as_such_so_that_the_worker_can_refuse_it():
    encoded = encode_arguments({"n": math.nan})

    with pytest.raises(InvalidRequest):
        wire.decode_line(wire.encode_call("i", "a.b", encoded, 1, 1))


def test_an_error_comes_back_as_its_class_with_its_details():
    outcome = wire.encode_error(NotFoundError("there is no user 'u'", {"user_id": "u"}))
    reply = wire.decode_reply(wire.encode_reply("some-id", outcome))

    error = wire.decode_error(reply, {}, request_id="some-id", method="a.b")

    assert type(error) is NotFoundError
    assert (error.message, error.details, error.request_id) == ("there is no user 'u'", {"user_id": "u"}, "some-id")


def test_a_family_s_own_error_is_known_by_its_contract_and_others_stay_readable():
    class Overdrawn(Conflict):
        """Changed nothing."""

    reply = {"id": "i", "error": "Overdrawn", "message": "m", "details": {"a": 1}}

    assert type(wire.decode_error(reply, {"Overdrawn": Overdrawn}, request_id="i", method="a.b")) is Overdrawn
    unknown = wire.decode_error(reply, {}, request_id="i", method="a.b")
    assert type(unknown) is UnknownRemoteError
    assert (unknown.code, unknown.details) == ("Overdrawn", {"a": 1})


def test_a_reply_is_one_line_whatever_its_text_holds():
    reply = wire.encode_reply("i", wire.encode_error(Conflict("two\nlines", {"t": "a\nb"})))

    assert b"\n" not in reply


@pytest.mark.parametrize(
    ("reply_to", "accepted"),
    [
        (f"rowcall.replies.{UUID(int=1)}", True),
        ("amq.gen-abc", True),
        ("amq.rabbitmq.reply-to.g1h2.token==", True),
        ("rowcall.write", False),
        ("rowcall.dead-letters", False),
        ("rowcall.replies.mine", False),
        (f"other.replies.{UUID(int=1)}", False),
        ("amq.gen-", False),
        ("victim", False),
    ],
)
def test_replies_go_to_reply_queues_only(reply_to, accepted):
    assert Names("rowcall").accepts_replies(reply_to) is accepted
