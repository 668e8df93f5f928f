"""What looks odd and is right."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import orjson

from tests.acceptance.bad_input.row import Bytes, Fine, call, raw, soon

THING = UUID("0198c5a4-0000-4000-8000-00000000abcd")
GET = "read.accounts.get_account"
NOBODY = call("accounts.get_account", {"account_id": "nobody"})


def odd(name: str, method: str, argument: str, value: bytes, result: object) -> Fine:
    return Fine(name, raw(f"odd.{method}", b'{"%b":%b}' % (argument.encode(), value)), f"read.odd.{method}", result)


def sent(name: str, **properties: object) -> Fine:
    return Fine(name, NOBODY, GET, None, properties)


def nested(depth: int) -> object:
    return [] if depth == 1 else [nested(depth - 1)]


MANY_NAMES = {f"{n:08x}": n for n in range(20_000)}

FINE = [
    sent("B5 no content type", content_type=None),
    odd("B8 a backslash before u0000", "get_text", "words", b'"\\\\u0000"', "\\u0000"),
    odd("B9 control characters", "get_text", "words", b'"\\u0001\\u001b[31m\\u007f"', "\x01\x1b[31m\x7f"),
    odd("B9 right to left, zero width", "get_text", "words", '"\u202ea\u200bb"'.encode(), "\u202ea\u200bb"),
    odd("B15 2^53 + 1", "get_value", "given", b"9007199254740993", 9007199254740993),
    odd("B18 minus zero", "get_small", "number", b"-0", 0),
    odd("B18 minus zero as a float", "get_ratio", "ratio", b"-0.0", "-0"),
    odd("B24 a read's argument twice: the last one counts", "get_small", "number", b'1,"number":2', 2),
    odd("B25 63 levels and the arguments themselves", "get_value", "given", b"[" * 63 + b"]" * 63, nested(63)),
    odd("B29 many names of one length", "get_value", "given", orjson.dumps(MANY_NAMES), MANY_NAMES),
    Fine("B34 version 1", raw("odd.get_small", b'{"number":5}', b',"v":1'), "read.odd.get_small", 5),
    Fine(
        "B34 keys of the future",
        raw("odd.get_small", b'{"number":5}', b',"priority":{"x":[NaN]}'),
        "read.odd.get_small",
        5,
    ),
    Fine("B35 an id in capitals", NOBODY.replace(NOBODY[7:43], str(uuid4()).upper().encode()), GET, None),
    Fine("B35 a read without an id", b'{"method":"accounts.get_account","args":{"account_id":"nobody"}}', GET, None),
    sent("B37 255 bytes of correlation", correlation_id="ä" * 127 + "x"),
    sent("B37 no correlation", correlation_id=None),
    sent(
        "B40 headers",
        headers={"x-death": [{"count": 10**9, "queue": "write"}], "x-delivery-count": 99, "x-rowcall-note": 1},
    ),
    sent("B40 headers with much in them", headers={"a": list(range(10_000)), "b": {"c": {"d": {"e": [[[]]]}}}}),
    sent("B40 a time without an end", timestamp=datetime(9999, 12, 31, tzinfo=UTC)),
    sent("B41 the highest priority, transient", priority=255, delivery_mode=1),
    sent("B41 a type and an app", message_type="x" * 255, app_id="\x01"),
    Fine(
        "B42 until the year 9999: no longer than 300 s",
        call("odd.get_small", {"number": 5}, deadline=253_402_300_799_000),
        "read.odd.get_small",
        5,
    ),
    Fine("B42 null is no deadline", call("odd.get_small", {"number": 5}, deadline=None), "read.odd.get_small", 5),
    Fine("B42 soon", call("odd.get_small", {"number": 5}, deadline=soon() + 3600_000), "read.odd.get_small", 5),
    odd(
        "B44 nanoseconds",
        "get_moment",
        "moment",
        b'"2026-11-20T12:00:00.123456789Z"',
        "2026-11-20T12:00:00.123456+00:00",
    ),
    odd("B43 seconds since 1970, as text", "get_moment", "moment", b'"1795176000"', "2026-11-20T12:00:00+00:00"),
    odd(
        "B45 the last moment but one",
        "get_moment",
        "moment",
        b'"9999-12-31T23:59:59.999998Z"',
        "9999-12-31T23:59:59.999998+00:00",
    ),
    odd("B45 an offset", "get_moment", "moment", b'"2026-11-20T12:00:00+02:00"', "2026-11-20T10:00:00+00:00"),
    odd("B48 a UUID in braces", "get_uuid", "thing", b'"{%b}"' % str(THING).encode(), str(THING)),
    odd("B48 a UUID in capitals", "get_uuid", "thing", b'"%b"' % str(THING).upper().encode(), str(THING)),
    odd("B49 the longest text of all", "get_text", "words", b'"' + b"x" * 1_000_000 + b'"', "x" * 1_000_000),
    Fine("B49 64 characters of four bytes", call("accounts.get_account", {"account_id": "😀" * 64}), GET, None),
    Fine("B50 another spelling is another id", call("accounts.get_account", {"account_id": "e\u0301"}), GET, None),
    odd("B51 no names", "count_names", "names", b"[]", 0),
    odd("B51 one name", "count_names", "names", b'["x"]', 1),
    odd("B51 1 000 names", "count_names", "names", b"[" + b",".join([b'"x"'] * 1000) + b"]", 1000),
    odd("B53 1e100", "get_value", "given", b"1e100", 1e100),
    Fine(
        "B54 the largest page",
        call("platform.get_graph_executions", {"user_id": "u", "limit": 1000}),
        "read.platform.get_graph_executions",
        [[], None],
    ),
]

UNREADABLE = Bytes("caf\xe9 \xff")
BURIED = [
    ("B37 a correlation that is no UTF-8", {"correlation_id": UNREADABLE}),
    ("B37 255 bytes that are no UTF-8", {"correlation_id": Bytes("\xff" * 255)}),
    ("B37 a message id that is no UTF-8", {"message_id": UNREADABLE}),
    ("B39 replies that are no UTF-8", {"reply_to": Bytes("amq.gen-\xff")}),
    ("B39 the write queue", {"reply_to": "{prefix}.write"}),
    ("B39 the read queue", {"reply_to": "{prefix}.read"}),
    ("B39 the dead letters", {"reply_to": "{prefix}.dead-letters"}),
    ("B39 another installation's replies", {"reply_to": "other.replies.00000000-0000-4000-8000-000000000000"}),
    ("B39 somebody's queue", {"reply_to": "victim"}),
    ("B39 an exchange of the broker's", {"reply_to": "amq.direct"}),
    ("B39 a generated name without an end", {"reply_to": "amq.gen-"}),
]
