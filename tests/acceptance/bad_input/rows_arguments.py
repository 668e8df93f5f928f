"""Arguments that do not fit, and answers that cannot be given."""

from __future__ import annotations

from uuid import uuid4

from tests.acceptance.bad_input.row import DEPOSIT, MARK, Row, amount, call, deposit, raw

SPEND = "write.platform.spend_credits"
PAGE = "read.platform.get_graph_executions"
NODES = "read.platform.get_node_executions_page"


def bad_amount(name: str, value: bytes) -> Row:
    return Row(name, amount(value), DEPOSIT, reason="invalid_argument", argument="amount")


def odd(name: str, method: str, argument: str, value: bytes, *, known: bool = True) -> Row:
    body = raw(f"odd.{method}", b'{"%b":%b}' % (argument.encode(), value))
    return Row(name, body, f"read.odd.{method}", reason="invalid_argument", argument=argument if known else None)


def page(name: str, **arguments: object) -> Row:
    (argument,) = arguments
    return Row(
        name,
        call("platform.get_graph_executions", {"user_id": "u", **arguments}),
        PAGE,
        reason="invalid_argument",
        argument=argument,
    )


def broken(kind: str) -> Row:
    return Row(
        f"B62 an answer that is {kind}",
        call("odd.keep_and_answer", {"note": MARK, "kind": kind}),
        "write.odd.keep_and_answer",
        error="InternalError",
    )


ROWS = [
    Row("B8 U+0000 in text", deposit(b',"note":"a\\u0000b"'), DEPOSIT, reason="invalid_argument", argument="note"),
    Row("B8 U+0000 in a name", deposit(b',"a\\u0000":"b"'), DEPOSIT, reason="invalid_argument"),
    Row(
        "B8 U+0000 in a key of free JSON",
        raw("odd.get_value", b'{"given":{"a":[{"\\u0000":1}]}}'),
        "read.odd.get_value",
        reason="invalid_argument",
        argument="given",
    ),
    *(bad_amount(f"B10 {number.decode()}", number) for number in (b"NaN", b"Infinity", b"-Infinity")),
    odd("B10 NaN in free JSON", "get_value", "given", b'{"a":[NaN]}'),
    bad_amount("B11 1e400", b"1e400"),
    odd("B11 1e400 as a float", "get_ratio", "ratio", b"1e400"),
    odd("B11 1e400 in free JSON", "get_value", "given", b"[1e400]"),
    odd("B11 400 digits and a point", "get_value", "given", b"9" * 400 + b".0"),
    odd("B11 300 digits and an exponent", "get_value", "given", b"9" * 300 + b"e99"),
    bad_amount("B12 2^64", b"18446744073709551616"),
    odd("B12 2^64 in free JSON", "get_value", "given", b"[18446744073709551616]"),
    bad_amount("B13 2^63", b"9223372036854775808"),
    odd("B13 2^63 where the contract forgot a bound", "get_small", "number", b"9223372036854775808", known=False),
    odd("B13 2^31 where the contract forgot a bound", "get_small", "number", b"2147483648", known=False),
    bad_amount("B16 true", b"true"),
    *(bad_amount(f"B17 {value.decode()}", value) for value in (b"1.0", b"1e0", b'"1"', b"[1]", b"null")),
    bad_amount("B18 minus zero, which is zero", b"-0"),
    bad_amount("B19 a negative amount", b"-5"),
    Row(
        "B19 a negative price",
        call("platform.spend_credits", {"user_id": "u", "cost": -5, "metadata": {}}),
        SPEND,
        reason="invalid_argument",
        argument="cost",
    ),
    bad_amount("B20 NaN in a string", b'"NaN"'),
    bad_amount("B21 zero", b"0"),
    bad_amount("B21 2^62", b"4611686018427387904"),
    Row(
        "B21 a sum beyond the column",
        call("accounts.deposit", {"account_id": "full", "amount": 10**12}),
        DEPOSIT,
        reason="invalid_argument",
    ),
    bad_amount("B22 decimals", b"0.00005"),
    bad_amount("B23 a float", b"0.1"),
    Row(
        "B28 100 000 names",
        call("odd.count_names", {"names": ["x"] * 100_000}),
        "read.odd.count_names",
        reason="invalid_argument",
        argument="names",
    ),
    Row(
        "B32 one missing",
        call("accounts.deposit", {"account_id": "a-1"}),
        DEPOSIT,
        reason="missing_argument",
        argument="amount",
    ),
    Row("B32 one too many", deposit(b',"%b":1' % MARK.encode()), DEPOSIT, reason="unknown_argument", argument=MARK),
    Row(
        "B32 one misspelt",
        call("accounts.deposit", {"account": "a-1", "amount": 5}),
        DEPOSIT,
        reason="missing_argument",
        argument="account_id",
    ),
    *(
        odd(f"B43 {moment}", "get_moment", "moment", moment.encode())
        for moment in (
            '"2026-11-20T12:00:00"',
            '"2026-11-20T12:00:00+24:00"',
            '"2026-11-20T23:59:60Z"',
            '"2026-11-20T24:00:00Z"',
            '"2026-02-30T00:00:00Z"',
            '"0000-01-01T00:00:00Z"',
            "1795176000",
            '"tomorrow"',
            '"20000-01-01T00:00:00Z"',
        )
    ),
    odd("B45 beyond the year 9999 in UTC", "get_moment", "moment", b'"9999-12-31T23:59:59-05:00"'),
    odd("B45 what the driver takes for infinity", "get_moment", "moment", b'"9999-12-31T23:59:59.999999Z"'),
    odd("B45 what it takes for -infinity", "get_moment", "moment", b'"0001-01-01T00:00:00Z"'),
    odd("B48 31 digits", "get_uuid", "thing", b'"%b"' % uuid4().hex[:31].encode()),
    odd("B48 a number", "get_uuid", "thing", b"7"),
    Row(
        "B49 65 characters",
        call("accounts.get_account", {"account_id": "😀" * 65}),
        "read.accounts.get_account",
        reason="invalid_argument",
        argument="account_id",
    ),
    Row(
        "B49 201 characters",
        deposit(b',"note":"' + b"x" * 201 + b'"'),
        DEPOSIT,
        reason="invalid_argument",
        argument="note",
    ),
    Row(
        "B49 no character",
        call("accounts.get_account", {"account_id": ""}),
        "read.accounts.get_account",
        reason="invalid_argument",
        argument="account_id",
    ),
    Row(
        "B51 1 001 names",
        call("odd.count_names", {"names": ["x"] * 1001}),
        "read.odd.count_names",
        reason="invalid_argument",
        argument="names",
    ),
    Row(
        "B51 201 updates",
        call(
            "platform.update_node_execution_status_batch",
            {"execution_updates": [{"node_exec_id": f"n{n}", "status": "QUEUED"} for n in range(201)]},
        ),
        "write.platform.update_node_execution_status_batch",
        reason="invalid_argument",
        argument="execution_updates",
    ),
    odd("B52 rows of different lengths", "count_cells", "rows", b"[[1],[2,3]]", known=False),
    odd("B53 1e131073", "get_value", "given", b"1e131073"),
    odd("B53 400 digits", "get_value", "given", b"7" * 400),
    *(page(f"B54 limit {limit}", limit=limit) for limit in (-1, 0, 1001, 10**9)),
    *(
        page(f"B54 cursor {cursor[:30]!r}", cursor=cursor)
        for cursor in (
            "",
            MARK,
            "0",
            "ä",
            "W10=",
            "WzEsMl0=",
            "A" * 1001,
            "\0",
            "WyIyMDI2LTExLTIwVDEyOjAwOjAwIiwgIngiXQ==",  # a naive moment
            "WzE3OTUxNzYwMDAsICJ4Il0=",  # a number for a moment
            "WyIyMDI2LTExLTIwVDEyOjAwOjAwKzAwOjAwIiwgIngiXQ==!",  # more than we would write
            "WyIyMDI2LTExLTIwVDEyOjAwOjAwKzAwOjAwIiwieCJd",  # the same in another spelling
            "WyIyMDI2LTExLTIwVDEyOjAwOjAwKzAwOjAwIiwgIlx1MDAwMCJd",  # U+0000 in the id
        )
    ),
    *(
        Row(
            f"B54 place {cursor}",
            call("platform.get_node_executions_page", {"graph_exec_id": "g", "cursor": cursor}),
            NODES,
            reason="invalid_argument",
            argument="cursor",
        )
        for cursor in ("0", "-1", "1e5", "9" * 19, "1; drop table", "٣")
    ),
    Row(
        "B58 no such status",
        call("platform.update_node_execution_status", {"node_exec_id": "n", "status": "DONE"}),
        "write.platform.update_node_execution_status",
        reason="invalid_argument",
        argument="status",
    ),
    Row("B46 a moment Python cannot hold", call("odd.get_ancient", {}), "read.odd.get_ancient", error="InternalError"),
    Row(
        "B61 an answer of 9 MiB",
        call("odd.get_letters", {"letters": 9 << 20}),
        "read.odd.get_letters",
        error="ResultTooLarge",
    ),
    Row(
        "B61 a write's answer of 300 000 bytes",
        call("odd.keep_note", {"note": MARK, "copies": 40_000}),
        "write.odd.keep_note",
        error="ResultTooLarge",
    ),
    Row(
        "B61 a story's answer of 300 000 bytes",
        call("odd.keep_and_answer", {"note": MARK, "kind": "large"}),
        "write.odd.keep_and_answer",
        error="ResultTooLarge",
    ),
    *(broken(kind) for kind in ("nan", "surrogate", "bytes", "object", "loop")),
]
