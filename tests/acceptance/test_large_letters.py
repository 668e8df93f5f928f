"""Messages too large to run, of which nobody can be told: something of each is kept, and the calls go on."""

from __future__ import annotations

import hashlib

import orjson
import pytest

from accounts import AsyncAccounts
from rpc_client import AsyncClient, ClientSettings
from tests.acceptance.broker import connected_peer, dead_letter
from worker.keys import KeyRing, new_key
from worker.settings import WorkerSettings

LARGE = 13 << 20
"""Sealed, it is more than RabbitMQ takes."""


@pytest.mark.parametrize(
    ("key", "reply_to"), [("read.accounts.get_account", "x"), ("write.accounts.deposit", None)], ids=["read", "untold"]
)
async def test_of_a_message_too_large_to_be_sealed_the_beginning_is_kept(start_worker, settings, sql, key, reply_to):
    ring_key = new_key()
    worker = await start_worker(ROWCALL_ENCRYPTION_KEYS=ring_key)
    body = b'{"id":1}\n' + b"x" * LARGE
    async with connected_peer(settings) as peer:
        await peer.send(body, key, reply_to=reply_to)
        letter = await dead_letter(sql, KeyRing([ring_key]))

    kept = orjson.loads(letter["body"])
    assert (kept["begins"], kept["bytes"]) == (body[:1024].decode(), len(body))
    assert kept["blake2b"] == hashlib.blake2b(body, digest_size=16).hexdigest()
    assert (letter["reason"], letter["method"]) == ("malformed", key.partition(".")[2])
    assert letter["error"].endswith("the beginning, the number and a digest are kept")
    async with AsyncClient(ClientSettings.model_validate(settings.model_dump())) as client:
        assert (await AsyncAccounts(client).open_account("a-1", "me")).balance == 0
    assert "goes back" not in worker.log.read_text()


def test_what_can_run_fits_sealed_into_a_message_of_the_broker(base_settings):
    most = WorkerSettings.model_validate({**base_settings.model_dump(), "body_bytes": 8 << 20}).message_bytes

    assert len(KeyRing([new_key()]).seal(b"x" * most, place="queue")) <= 16 << 20
