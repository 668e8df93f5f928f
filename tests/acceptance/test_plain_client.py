"""The example without our library: AMQP and JSON are all that a caller needs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "plain_client.py"


async def plain_call(settings, routing_key: str, **args: object) -> dict[str, object]:
    """Run the example as a program; what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLE),
        routing_key,
        json.dumps(args),
        stdout=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"],
            "ROWCALL_AMQP_URL": settings.amqp_url.get_secret_value(),
            "ROWCALL_PREFIX": settings.prefix,
        },
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, output
    return json.loads(output)


async def test_results_and_errors_come_back_as_json(worker, settings):
    opened = await plain_call(settings, "write.accounts.open_account", account_id="a-1", owner="me")
    deposited = await plain_call(settings, "write.accounts.deposit", account_id="a-1", amount=500)
    read = await plain_call(settings, "read.accounts.get_account", account_id="a-1")
    refused = await plain_call(settings, "write.accounts.withdraw", account_id="a-1", amount=501)

    assert opened["result"]["balance"] == 0
    assert deposited["result"] == 500
    assert read["result"]["balance"] == 500
    assert (refused["error"], refused["details"]) == ("InsufficientCredits", {"balance": 500, "cost": 501})


async def test_a_method_nobody_serves_is_answered_with_the_nearest_names(worker, settings):
    reply = await plain_call(settings, "write.accounts.deposti", account_id="a-1", amount=1)

    assert reply["error"] == "InvalidRequest"
    assert "accounts.deposit" in reply["message"]


def test_the_example_is_short_and_uses_nothing_of_ours():
    text = EXAMPLE.read_text(encoding="utf-8")

    assert len(text.splitlines()) <= 40
    assert "rpc_client" not in text
    assert "import worker" not in text
