"""Unit tests without servers: ``StubClient`` answers what it was told to, and keeps what it was asked.

::

    stub = StubClient()
    stub.platform.get_credits.answers(500)
    stub[Accounts.withdraw].raises(InsufficientCredits("balance 5 is below 7", {"balance": 5, "cost": 7}))

    await charge(stub)                              # wherever an AsyncClient goes
    await AsyncAccounts(stub).get_account("a-1")    # StubError: nothing was prepared for it

    assert stub.platform.get_credits.calls[0].arguments == {"user_id": "user-1"}

It is the real client as far as the wire, so whatever the wire does to arguments, results and errors happens here too.
In the place of the servers, arguments are read and results written by the functions the worker uses. A stub knows
nothing of what a write changes: for that, see ``worker.testing.LocalWorker``.
"""

from __future__ import annotations

from rpc_client.testing._script import RecordedCall, StubError
from rpc_client.testing._stub import Stubbed, StubClient, StubPlatform, StubService, SyncStub

__all__ = ["RecordedCall", "StubClient", "StubError", "StubPlatform", "StubService", "Stubbed", "SyncStub"]
