"""Whatever a peer sends: one typed answer, a worker that lives and serves on, and a database that did not change."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from tests.acceptance.bad_input import rows_arguments, rows_fine, rows_lines
from tests.acceptance.bad_input.place import Place
from tests.acceptance.bad_input.row import DEPOSIT, GET, MARK, Fine, Row, call, deposit

ROWS = [*rows_lines.ROWS, *rows_arguments.ROWS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_bad_input_gets_one_typed_answer_and_changes_nothing(place: Place, row: Row):
    before = await place.checksum()

    (reply,) = await place.ask(row.body, row.key, row.properties)
    await place.still_serves()

    details = reply["details"]
    assert (reply["error"], details.get("reason")) == (row.error, row.reason), reply
    assert details.get("argument") == row.argument
    assert len(orjson.dumps(reply["message"])) < 1000
    assert await place.checksum() == before
    if row.error == "InternalError" and row.key.startswith("write."):
        letter = await place.dead_letter()
        assert (letter["body"], letter["reason"]) == (row.body, "internal")
    assert await place.buried() == 0


@pytest.mark.parametrize("row", rows_fine.FINE, ids=lambda row: row.name)
async def test_what_only_looks_odd_is_answered(place: Place, row: Fine):
    before = await place.checksum()

    (reply,) = await place.ask(row.body, row.key, row.properties)
    await place.still_serves()

    assert reply.get("result", reply) == row.result
    assert await place.checksum() == before


@pytest.mark.parametrize("lane", ["read", "write"])
@pytest.mark.parametrize(("name", "properties"), rows_fine.BURIED, ids=[name for name, _ in rows_fine.BURIED])
async def test_what_nobody_can_be_told_of_is_not_run_but_buried_as_it_came(place: Place, lane, name, properties):
    before = await place.checksum()
    body, key = deposit(), DEPOSIT
    if lane == "read":
        body, key = call("accounts.get_account", {"account_id": "a-1"}), GET
    if type(properties.get("reply_to")) is str:
        properties = {"reply_to": properties["reply_to"].format(prefix=place.settings.prefix)}

    await place.send(body, key, properties)
    letter = await place.dead_letter()
    await place.still_serves()

    assert (letter["body"], letter["reason"]) == (body, "malformed")
    assert await place.buried() == 0
    assert await place.checksum() == before


async def test_the_log_tells_of_every_refusal_and_nothing_of_what_was_sent(place: Place):
    """The last of this file: every row above has been logged by then."""
    request_id = orjson.loads(last := call("accounts.deposit", {"account_id": MARK, "amount": -1}))["id"]

    await place.ask(last, DEPOSIT, {})
    async with asyncio.timeout(10):
        while request_id not in (log := place.worker.log.read_text()):
            await asyncio.sleep(0.02)

    assert MARK not in log
    assert '"outcome":"InvalidRequest"' in log
    assert max(map(len, log.splitlines())) < 20_000
