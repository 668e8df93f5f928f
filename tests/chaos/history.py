"""What a client did and was told, line by line: written before it does it, so that who is killed leaves nothing out.

In ``history/client-<n>.jsonl``, every line but the first of a life with the "id" of its call:

========= ==============================================================================================
started   it hears from now on what it is asked by a signal
invoke    it is about to publish a call: "method", "args", "kind", "attempt", "timeout_s", "sent", "twin"
ok        it was answered "result"
error     it was answered an error: "code", "reason", "details", "message"
unknown   nobody answered it in time: "why"
confirmed the broker has a call whose outcome nobody waits for ("sent")
outcome   what ``client.outcome`` said: "state", "fence", "result" or "error"
========= ==============================================================================================

In ``replies/client-<n>.jsonl``, what no call's fate hangs on:

========= ==============================================================================================
reply     a line came in, awaited or not: "word" is ok or the error's code, "digest" is of its bytes after the id
reused    the id was used for another call too, with "args", and that was answered "code"
asked     ``client.outcome`` could not say: "why"
========= ==============================================================================================

A call is undecided as long as it is only known as invoked, unknown, or Unavailable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from accounts import Accounts
from rpc_client.contract.platform import AsyncPlatform
from rpc_client.errors import RemoteError
from rpc_client.wire import Reply
from tests.chaos.family.contract import Chaos
from tests.chaos.folder import Folder, Journal, lines

METHODS = {**AsyncPlatform.methods(), **Accounts.methods(), **Chaos.methods()}
UNDECIDED = frozenset({"Unavailable"})
"""Errors that leave a write undecided: the very same call may be sent again, and may even run by itself."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call as its history tells it."""

    id: str
    method: str
    args: dict[str, Any]
    kind: str = "call"
    """``call``, ``batch``, ``send``, ``retry``, ``bad``, or ``ground``: what the workload starts from."""
    timeout_s: float = 25.0
    sent: bool = False
    """Nobody waits for its outcome."""

    @property
    def lane(self) -> str:
        found = METHODS.get(self.method)
        return "write" if found is None else found.lane

    @property
    def slow(self) -> bool:
        found = METHODS.get(self.method)
        return found is None or found.slow


class History:
    """The journal of one client, over all its lives."""

    def __init__(self, folder: Folder, number: int) -> None:
        self.path = folder.history / f"client-{number}.jsonl"
        self._client = number
        self._journal = Journal(self.path)
        aside = folder.root / "replies"
        aside.mkdir(exist_ok=True)
        self._aside = Journal(aside / self.path.name)

    def write(self, what: str, **fields: Any) -> None:
        self._journal.write(what=what, **fields)

    def write_aside(self, what: str, **fields: Any) -> None:
        self._aside.write(what=what, **fields)

    def invoke(self, call: Call, attempt: int, *, twin: bool = False) -> None:
        self.write("invoke", client=self._client, attempt=attempt, twin=twin, **asdict(call))

    def error(self, request_id: str, error: RemoteError) -> None:
        self.write(
            "error",
            id=request_id,
            code=error.code,
            reason=error.details.get("reason"),
            details=error.details,
            message=error.message,
        )

    def reply(self, reply: Reply, line: bytes) -> None:
        word = "ok" if reply.error is None else reply.error.get("error")
        said = line.partition(b",")[2]
        self.write_aside("reply", id=reply.id, word=word, digest=blake2b(said, digest_size=8).hexdigest())


@dataclass(slots=True)
class Left:
    """A call that an earlier life of this client left undecided."""

    call: Call
    attempts: int
    confirmed: bool = False


def left_open(path: Path) -> list[Left]:
    """The writes of which this journal does not say what became of them."""
    left: dict[str, Left] = {}
    for line in lines(path):
        match line["what"]:
            case "invoke":
                call = _call(line)
                before = left.get(call.id)
                if before is None and line["attempt"] == 1 and not line["twin"] and call.kind != "ground":
                    left[call.id] = Left(call, 1)
                elif before is not None:
                    before.attempts = max(before.attempts, line["attempt"])
            case "confirmed" if line["id"] in left:
                left[line["id"]].confirmed = True
            case "ok" | "error" | "outcome" if _decides(line):
                left.pop(line["id"], None)
    return [*_writes(left)]


def _decides(line: dict[str, Any]) -> bool:
    return line.get("code") not in UNDECIDED and line.get("state") != "no_trace"


def _writes(left: dict[str, Left]) -> Iterator[Left]:
    """Of a read nothing is left to be known."""
    return (one for one in left.values() if one.call.lane == "write")


def _call(line: dict[str, Any]) -> Call:
    return Call(line["id"], line["method"], line["args"], line["kind"], line["timeout_s"], sent=line["sent"])
