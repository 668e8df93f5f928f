"""One call from its first attempt to the moment when it is known what became of it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson

from rpc_client import AsyncClient, ClientSettings
from rpc_client.calls import json_of, prepare_by_name
from rpc_client.contract.rowcall import CallOutcome, Rowcall
from rpc_client.errors import RemoteError, RPCError
from rpc_client.parcels import Pending
from rpc_client.reader import Message
from rpc_client.transport import Transport
from rpc_client.wire import Reply, read_reply
from tests.chaos.history import UNDECIDED, Call, History, Left
from tests.chaos.workload import DEADLY, Workload

AGAIN_TIMEOUT_S, ASKING_TIMEOUT_S = 10.0, 10.0
PAUSE_S = (0.1, 0.6)
SETTLED_AT_ONCE = 16
"""After an outage hundreds of calls are undecided, and all at once they would be the next outage."""
SENT_LOOK_S = 3.0
SENT_GIVEN_UP_S = 20.0
"""Once the client is to end, so long a write that the broker has may take to leave a trace."""
TWINS, REPEATED, ASKED, REUSED = 0.02, 0.04, 0.02, 0.01
"""How often a write is issued twice at once; how often one that was answered is repeated, is asked about, and how often
its id is used for something else."""


class Listening(Transport):
    """Notes every reply that comes in, also those that nobody waits for."""

    def __init__(self, settings: ClientSettings, history: History) -> None:
        super().__init__(settings)
        self._history = history
        self._questions: set[str] = set()
        """Ids of questions about calls, which no history tells."""

    async def request(self, call: Pending) -> Reply:
        if call.method == Rowcall.outcome.name:
            self._questions.add(call.id)
        return await super().request(call)

    def _on_message(self, message: Message) -> None:
        if not message.returned:
            for line in message.body.split(b"\n"):
                if (reply := read_reply(line)).id not in self._questions:
                    self._history.reply(reply, line)
        super()._on_message(message)


class Caller:
    """Makes calls and keeps their history. It has two connections, so that one call can come from two sides at once."""

    def __init__(
        self, client: AsyncClient, twin: AsyncClient, history: History, rng: random.Random, workload: Workload
    ) -> None:
        self._client, self._twin = client, twin
        self._history = history
        self._rng = rng
        self._workload = workload
        self._settling = asyncio.Semaphore(SETTLED_AT_ONCE)
        self.ending = asyncio.Event()
        """Nothing new is begun."""

    async def perform(self, call: Call) -> None:
        """Make a call, and if need be learn what became of it."""
        if call.sent:
            await self._hand_over(call)
        elif self._rng.random() < TWINS and call.lane == "write" and call.method not in DEADLY:
            again = replace(call, kind="retry")
            decided = await asyncio.gather(self._ask(call, 1), self._ask(again, 1, twin=True))
            if decided == [None, None]:
                await self._settle(call, 2)
        elif (word := await self._ask(call, 1)) is not None:
            await self._afterwards(call, word)
        elif call.lane == "write":
            await self._settle(call, 2)

    async def resume(self, left: Left) -> None:
        """Settle what an earlier life left undecided."""
        if left.call.sent and left.confirmed:
            await self._trace(left.call)
        else:
            await self._settle(left.call, left.attempts + 1)

    async def insist(self, call: Call) -> None:
        """Make a call under its fixed id until it is answered, whichever life of this client does."""
        while await self._ask(call, 1) is None:
            await self._pause()

    async def _ask(self, call: Call, attempt: int, *, twin: bool = False) -> str | None:
        """Make one attempt; `ok` or the error's word, if that decided the call."""
        self._history.invoke(call, attempt, twin=twin)
        try:
            result = await self._answer(call, self._twin if twin else self._client)
        except RemoteError as error:
            self._history.error(call.id, error)
            return None if error.code in UNDECIDED else error.code
        except RPCError as error:
            self._history.write("unknown", id=call.id, why=type(error).__name__)
            return None
        self._history.write("ok", id=call.id, result=result)
        self._workload.learn(call, result)
        return "ok"

    async def _answer(self, call: Call, client: AsyncClient) -> Any:
        pending = _pending(call, client)
        return orjson.loads(json_of(pending, await client.exchange(pending)))

    async def _afterwards(self, call: Call, word: str) -> None:
        """Now and then try what must make no difference any more."""
        if call.lane == "read" or call.kind == "bad" or call.method in DEADLY:
            return
        chance = self._rng.random()
        if chance < REPEATED:
            await self._settle(call, 2)
        elif chance < REPEATED + ASKED:
            await self._outcome(call, fence=True)
        elif chance < REPEATED + ASKED + REUSED and word == "ok" and ("note" in call.args or "mark" in call.args):
            await self._reuse(call)

    async def _settle(self, call: Call, attempt: int) -> None:
        """Decide a write: send it again under its id, or forbid it to run unless it has."""
        again = replace(call, kind="retry", timeout_s=AGAIN_TIMEOUT_S, sent=False)
        may_go_again = call.method not in DEADLY and call.kind != "bad"
        while True:
            async with self._settling:
                if may_go_again and self._rng.random() < 0.5:
                    decided = await self._ask(again, attempt) is not None
                    attempt += 1
                else:
                    decided = await self._outcome(call, fence=True)
            if decided:
                return
            await self._pause()

    async def _outcome(self, call: Call, *, fence: bool) -> bool:
        """Ask what became of a call; whether that is decided."""
        client = self._client.with_options(timeout_s=ASKING_TIMEOUT_S)
        try:
            found = await client.outcome(call.id, fence=fence)
        except RPCError as error:
            self._history.write_aside("asked", id=call.id, why=type(error).__name__)
            return False
        self._history.write("outcome", id=call.id, state=found.state, fence=fence, **_replied(found))
        return found.state != "no_trace"

    async def _hand_over(self, call: Call) -> None:
        """Give a write to the broker, and see later whether it ran."""
        self._history.invoke(call, 1)
        try:
            await self._client.hand_over(_pending(call, self._client))
        except RPCError as error:
            self._history.write("unknown", id=call.id, why=type(error).__name__)
            await self._settle(call, 2)
        else:
            self._history.write("confirmed", id=call.id)
            await self._trace(call)

    async def _trace(self, call: Call) -> None:
        """Wait until a write that the broker has leaves a trace. It is not forbidden to run: it has to."""
        left_s = SENT_GIVEN_UP_S
        while left_s > 0:
            await self._pause() if self.ending.is_set() else await self._wait(SENT_LOOK_S)
            if await self._outcome(call, fence=False):
                return
            left_s -= PAUSE_S[1] if self.ending.is_set() else 0

    async def _reuse(self, call: Call) -> None:
        """Use the id for another call. Its answer is not this call's, so it has a line of its own."""
        mark = "note" if "note" in call.args else "mark"
        other = replace(call, args={**call.args, mark: f"reused {call.id}"})
        code = "ok"
        try:
            await self._answer(other, self._client)
        except RPCError as error:
            code = type(error).__name__
        self._history.write_aside("reused", id=call.id, method=call.method, args=other.args, code=code)

    async def _pause(self) -> None:
        await asyncio.sleep(self._rng.uniform(*PAUSE_S))

    async def _wait(self, seconds: float) -> None:
        """So long, or until the client is to end."""
        try:
            await asyncio.wait_for(self.ending.wait(), seconds)
        except TimeoutError:
            return


def _pending(call: Call, client: AsyncClient) -> Pending:
    """The call as it travels. By its name, so that no contract keeps bad input from leaving."""
    options = client.with_options(request_id=UUID(call.id), timeout_s=call.timeout_s)._options
    return prepare_by_name(call.method, call.lane, call.args, options, slow=call.slow)


def _replied(found: CallOutcome) -> dict[str, Any]:
    if found.reply is None:
        return {}
    return {"error": found.reply} if "error" in found.reply else {"result": found.reply["result"]}
