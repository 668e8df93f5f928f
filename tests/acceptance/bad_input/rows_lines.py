"""Messages and lines that are no calls, or none that this worker knows."""

from __future__ import annotations

import gzip
import time
from uuid import uuid4

import orjson

from tests.acceptance.bad_input.row import DEPOSIT, GET, MARK, Bytes, Row, call, deposit, raw

GOOD = deposit(b',"note":"%b"' % MARK.encode())
SOME_ID = "3f0a6c52-7d1e-4b8a-9c5d-2e4f60718293"
"""The same in every process that collects these tests."""
NO_IDS = ("", MARK, 7, True, [], SOME_ID.replace("-", ""), f"{{{SOME_ID}}}", f"urn:uuid:{SOME_ID}", MARK * 1000)
PICKLE = b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."


def malformed(name: str, body: bytes) -> Row:
    return Row(name, body, DEPOSIT, reason="malformed")


def unknown(name: str, method: str) -> Row:
    return Row(name, call(method, {}), "write.odd.nothing", reason="unknown_method")


def v7(seconds: float) -> str:
    at = f"{int(seconds * 1000):012x}"
    return f"{at[:8]}-{at[8:]}-7000-8000-000000000001"


def under(request_id: object) -> bytes:
    return orjson.dumps({"id": request_id, "method": "accounts.deposit", "args": {"account_id": "a-1", "amount": 5}})


def until(deadline: bytes) -> bytes:
    return deposit(more=b',"deadline":' + deadline)


ROWS = [
    malformed("B1 nothing", b""),
    malformed("B1 blank lines", b"\n \n\r\n"),
    malformed("B2 null", b"null"),
    malformed("B2 an array", b"[]"),
    malformed("B2 a number", b"5"),
    malformed("B2 a string", b'"%b"' % MARK.encode()),
    malformed("B2 an object without a method", b'{"%b":{}}' % MARK.encode()),
    malformed("B3 a byte order mark", b"\xef\xbb\xbf" + GOOD),
    malformed("B4 UTF-16", GOOD.decode().encode("utf-16")),
    malformed("B4 Latin-1", '{"method":"ä"}'.encode("latin-1")),
    malformed("B4 gzip", gzip.compress(b"{}", mtime=0)),
    Row("B4 said to be gzip", GOOD, DEPOSIT, reason="encoding", properties={"content_encoding": "gzip"}),
    Row(
        "B5 said to be pickle",
        PICKLE,
        DEPOSIT,
        reason="content_type",
        properties={"content_type": "application/x-python-serialize"},
    ),
    Row("B5 said to be YAML", GOOD, DEPOSIT, reason="content_type", properties={"content_type": "application/yaml"}),
    malformed("B5 pickle, not said", PICKLE),
    malformed("B6 a byte that is no UTF-8", deposit(b',"note":"\xff"')),
    malformed("B6 an overlong slash", deposit(b',"note":"\xc0\xaf"')),
    malformed("B6 a surrogate in UTF-8", deposit(b',"note":"\xed\xa0\x80"')),
    malformed("B6 no UTF-8 in a key", deposit(b',"\xff":1')),
    malformed("B7 a lone surrogate", deposit(b',"note":"\\ud800"')),
    malformed("B7 a surrogate pair the wrong way round", deposit(b',"note":"\\udc00\\ud800"')),
    malformed("B14 5 000 digits", deposit(b',"note":' + b"7" * 5000)),
    Row("B24 an argument twice", deposit(b',"amount":6'), DEPOSIT, reason="duplicate_key"),
    Row("B24 twice, hidden by a colon", deposit(b',"amount":6,"note":"\\u003a"'), DEPOSIT, reason="duplicate_key"),
    Row("B24 a method twice", deposit(more=b',"method":"accounts.deposit"'), DEPOSIT, reason="duplicate_key"),
    Row(
        "B24 deep inside",
        raw("platform.update_node_execution_stats", b'{"node_exec_id":"n","stats":{"a":[{"b":1,"b":2}]}}'),
        "write.platform.update_node_execution_stats",
        reason="duplicate_key",
    ),
    *(
        Row(
            f"B25 {depth} levels",
            raw("odd.get_value", b'{"given":' + b"[" * depth + b"]" * depth + b"}"),
            "read.odd.get_value",
            reason="too_deep",
        )
        for depth in (64, 255, 1000, 100_000)
    ),
    Row(
        "B26 objects without an end", raw("odd.get_value", b'{"a":' * 100_000), "read.odd.get_value", reason="too_deep"
    ),
    Row("B28 a megabyte of brackets", b"[" * (1 << 20), DEPOSIT, reason="too_deep"),
    Row("B27 two megabytes", deposit(b',"note":"' + b"x" * (2 << 20) + b'"'), DEPOSIT, reason="too_large"),
    Row("B27 sixteen megabytes", b"\n" * (16 << 20), DEPOSIT, reason="too_large"),
    Row(
        "B28 one name of a megabyte",
        deposit(b',"' + b"x" * (1 << 20) + b'":1'),
        DEPOSIT,
        reason="unknown_argument",
        argument="x" * 128,
    ),
    Row(
        "B28 many names",
        raw("accounts.deposit", b"{" + b",".join(b'"%05x":1' % n for n in range(100_000)) + b"}"),
        DEPOSIT,
        reason="unknown_argument",
    ),
    Row("B28 65 calls", b"\n".join([GOOD] * 65), DEPOSIT, reason="too_many_calls"),
    malformed("B30 a comma too many", deposit(b",")),
    malformed("B30 a comment", b"/* */" + GOOD),
    malformed("B30 two calls in a line", GOOD + GOOD),
    malformed("B30 a control character", deposit(b',"note":"\x01"')),
    malformed("B30 single quotes", b"{'method':'accounts.deposit'}"),
    malformed("B30 cut short", GOOD[:-1]),
    malformed("B31 a method that is a number", b'{"method":7}'),
    unknown("B31 misspelt", "accounts.depositt"),
    unknown("B31 wrong case", "Accounts.Deposit"),
    unknown("B31 Python's own", "__class__"),
    unknown("B31 an attribute of the family", "accounts.__class__"),
    unknown("B31 a path", "../accounts/deposit"),
    unknown("B31 300 characters", MARK * 40),
    unknown("B31 U+0000", "accounts.deposit\0"),
    unknown("B31 a look-alike", "аccounts.deposit"),
    unknown("B31 a right-to-left mark", "accounts.\u202edeposit"),
    Row("B31 under another key", GOOD, "write.accounts.withdraw", reason="wrong_lane"),
    Row("B31 in the other lane", GOOD, "read.accounts.deposit", reason="wrong_lane"),
    Row("B33 arguments in order", raw("accounts.deposit", b'["a-1",5]'), DEPOSIT, reason="invalid_argument"),
    Row("B33 no arguments at all", raw("accounts.deposit", b"null"), DEPOSIT, reason="invalid_argument"),
    *(
        Row(f"B34 version {version.decode()}", deposit(more=b',"v":' + version), DEPOSIT, reason="version")
        for version in (b"2", b"0", b'"1"', b"true", b"null", b"1.0", b"[[]]")
    ),
    *(Row(f"B35 as its id {shown!r}"[:60], under(shown), DEPOSIT, reason="request_id") for shown in NO_IDS),
    Row(
        "B35 no id at all",
        b'{"method":"accounts.deposit","args":{"account_id":"a-1","amount":5}}',
        DEPOSIT,
        reason="request_id_required",
        properties={"correlation_id": None, "message_id": Bytes("")},
    ),
    *(
        Row(
            f"B40 {name} {value!r}",
            under(str(uuid4())),
            DEPOSIT,
            reason="headers",
            properties={"headers": {name: value}},
        )
        for name, value in (
            ("x-rowcall-deadline", MARK),
            ("x-rowcall-deadline", 0),
            ("x-rowcall-deadline", True),
            ("x-rowcall-id", MARK),
            ("x-rowcall-caller", 5),
        )
    ),
    Row(
        "B40 the call of another",
        under(str(uuid4())),
        DEPOSIT,
        error="AuthorizationError",
        reason="operator",
        properties={"headers": {"x-rowcall-caller": MARK}},
    ),
    Row("B36 made eight days ago", under(v7(time.time() - 8 * 86400)), DEPOSIT, reason="request_id_day"),
    Row("B36 made tomorrow", under(v7(time.time() + 86400)), DEPOSIT, reason="request_id_day"),
    Row("B36 made at the end of time", under("ffffffff-ffff-7fff-bfff-ffffffffffff"), DEPOSIT, reason="request_id_day"),
    *(
        Row(f"B42 until {deadline.decode()}", until(deadline), DEPOSIT, reason="deadline")
        for deadline in (
            b"0",
            b"-1",
            b"NaN",
            b"1e400",
            b"1.5",
            b'"2026-11-20T12:00:00"',
            b"true",
            b"9007199254740992",
            b"{}",
        )
    ),
    Row("B42 too late", until(b"%d" % (time.time() * 1000 - 1)), DEPOSIT, error="DeadlineExceeded"),
    Row("B42 attempt 0", deposit(more=b',"attempt":0'), DEPOSIT, reason="malformed"),
    Row(
        "B31 a read under a write's key",
        call("accounts.get_account", {"account_id": "a-1"}),
        GET.replace("read", "write"),
        reason="wrong_lane",
    ),
]
