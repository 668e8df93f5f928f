"""Tests fake the transport only: client and worker pipeline joined in memory. SQL meets a real PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from rpc_client import wire
from rpc_client.wire import Names
from worker.calls import Origin
from worker.events import complete_events, messages

if TYPE_CHECKING:
    from rpc_client.parcels import Pending
    from worker.calls import Call, Outcome
    from worker.pipeline import Pipeline
    from worker.served import Served


class DirectTransport:
    """Carries calls straight into a pipeline."""

    def __init__(self, pipeline: Pipeline, caller: str = "tests") -> None:
        self._pipeline = pipeline
        self._caller = caller
        self.replies: list[bytes] = []
        self.dead: list[Any] = []

    async def request(self, call: Pending) -> wire.Reply:
        line = wire.encode_call(call.id, call.method, call.arguments, int(call.expires_at * 1000), 1)
        origin = Origin(self._caller, "tests", call.id, None, redelivered=False)
        answered = await self._pipeline.answer(line, origin, f"{call.lane}.{call.method}")
        self.dead.extend(answered.dead)
        (reply,) = answered.replies
        self.replies.append(reply)
        return wire.read_reply(reply)

    async def close(self) -> None:
        pass


class RecordedEvents:
    """Keeps what would be announced, in the order of the commits as this process saw them."""

    def __init__(self, served: Served) -> None:
        self._families = {family.name: family for family in served.families}
        self.events: list[dict[str, Any]] = []
        self.channels: list[tuple[str, Any]] = []

    def announce(self, call: Call, outcome: Outcome) -> None:
        if outcome.events is None:
            return
        self.events.extend(complete_events(call, outcome))
        told = messages(Names("tests"), self._families[call.answer.method.owner.name], call, outcome)
        self.channels.extend((channel, orjson.loads(payload)) for channel, payload in told)
