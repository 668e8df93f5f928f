"""What clients ask for: money moved, tasks claimed, agents run, and everything that can go wrong with a call.

Every write's arguments carry its own request id, so that the rows it leaves tell whose they are.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from typing import Any

from uuid_utils import uuid7

from tests.chaos.history import Call

ACCOUNTS = [f"account-{n}" for n in range(40)]
USERS = [f"user-{n}" for n in range(12)]
GRAPH, ASK, TELL = "chaos-graph", "chaos-ask", "chaos-tell"
STATUSES = ["QUEUED", "RUNNING", "RUNNING", "COMPLETED", "FAILED", "CANCELED"]
PATIENCE_S, HASTE_S, OVERRUN_S, DEADLY_S = 25.0, (0.01, 0.3), 1.0, 12.0
HASTY = 0.03
"""So many are given up early: whether they ran, nobody knows at first."""
DEADLY = frozenset({"chaos.kill", "chaos.kill_read"})
REMEMBERED = 30
CANARY = "CANARY-"
"""Stands in arguments, good and bad, that no log may repeat."""

Args = dict[str, Any]
Asked = tuple[str, Args]


@dataclass(slots=True)
class Execution:
    """A run of the graph that this client began."""

    id: str
    user_id: str
    nodes: list[str] = field(default_factory=list)
    """Its nodes' runs."""


class Workload:
    """Draws calls. What it learns of answers goes into later ones."""

    def __init__(self, rng: random.Random, without: Collection[str] = ()) -> None:
        self._rng = rng
        self._executions: list[Execution] = []
        self._marks: list[str] = []
        self._kinds: list[tuple[float, Callable[[str], Asked]]] = [
            (16, self._transfer),
            (10, self._deposit),
            (9, self._withdraw),
            (12, partial(_marked, "chaos.note")),
            (6, partial(_marked, "chaos.offer")),
            (6, partial(_marked, "chaos.claim")),
            (4, self._create_execution),
            (6, self._change_execution),
            (4, self._output),
            (2, self._input),
            (5, self._spend),
            (3, self._earn),
            (2, partial(_marked, "chaos.refuse")),
            (2, self._linger),
            (0.5, partial(_marked, "chaos.trip")),
            (0.4, partial(_marked, "chaos.overrun")),
            (7, lambda _: ("accounts.get_account", {"account_id": self._account()})),
            (1, lambda _: ("accounts.list_entries", {"account_id": self._account(), "limit": 5})),
            (2, lambda _: ("platform.get_credits", {"user_id": self._user()})),
            (3, self._look),
        ]
        if "poison" not in without:
            self._kinds += [(0.03, partial(_marked, method)) for method in sorted(DEADLY)]

    def draw(self) -> list[Call]:
        """The next call, or several of one method to be issued in one tick."""
        chance = self._rng.random()
        if chance < 0.04:
            return [self._bad()]
        if chance < 0.07:
            return [self._one(partial(_marked, "chaos.note"), kind="send", sent=True)]
        if chance < 0.1:
            batched = self._rng.choice([partial(_marked, "chaos.note"), self._deposit, self._withdraw, self._spend])
            return [self._one(batched, kind="batch") for _ in repeat(None, self._rng.randint(2, 6))]
        weights, makers = zip(*self._kinds, strict=True)
        (maker,) = self._rng.choices(makers, weights)
        return [self._one(maker)]

    def learn(self, call: Call, result: Any) -> None:
        """Remember what was begun, so that it is gone on with, and what was marked, so that it is looked for."""
        if call.method == "chaos.note":
            self._marks = [*self._marks, call.id][-REMEMBERED:]
        if call.method != "platform.create_graph_execution":
            return
        nodes = [node["node_exec_id"] for node in result["node_executions"]]
        self._executions.append(Execution(result["id"], call.args["user_id"], nodes))
        del self._executions[:-REMEMBERED]

    def _one(self, maker: Callable[[str], Asked], *, kind: str = "call", sent: bool = False) -> Call:
        mark = str(uuid7())
        method, args = maker(mark)
        return Call(mark, method, args, kind, self._patience(method, sent=sent), sent=sent)

    def _patience(self, method: str, *, sent: bool) -> float:
        if method == "chaos.overrun":
            return OVERRUN_S
        if method in DEADLY:
            return DEADLY_S
        hasty = self._rng.random() < HASTY and not sent
        return round(self._rng.uniform(*HASTE_S), 3) if hasty else PATIENCE_S

    def _account(self) -> str:
        return self._rng.choice(ACCOUNTS)

    def _user(self) -> str:
        return self._rng.choice(USERS)

    def _amount(self) -> int:
        """Now and then more than anybody has."""
        return self._rng.randint(1, 500) if self._rng.random() < 0.93 else 10**9

    def _transfer(self, mark: str) -> Asked:
        source, target = self._account(), self._account()
        return "accounts.transfer", {
            "source_id": source,
            "target_id": target,
            "amount": self._amount(),
            "note": mark,
        }

    def _deposit(self, mark: str) -> Asked:
        return "accounts.deposit", {
            "account_id": self._account(),
            "amount": self._rng.randint(1, 500),
            "note": mark,
        }

    def _withdraw(self, mark: str) -> Asked:
        return "accounts.withdraw", {"account_id": self._account(), "amount": self._amount(), "note": mark}

    def _linger(self, mark: str) -> Asked:
        return "chaos.linger", {"mark": mark, "ms": self._rng.randint(5, 300)}

    def _look(self, mark: str) -> Asked:
        """For what was answered ok, so that it must be there; before there is any, for what nobody left."""
        return "chaos.look", {"mark": self._rng.choice(self._marks or [mark])}

    def _create_execution(self, mark: str) -> Asked:
        return "platform.create_graph_execution", {
            "graph_id": GRAPH,
            "graph_version": 1,
            "starting_nodes_input": {ASK: {"mark": mark}},
            "user_id": self._user(),
        }

    def _execution(self) -> Execution:
        """One of this client's; before there is any, one that nobody has."""
        return self._rng.choice(self._executions) if self._executions else Execution("none", USERS[0], ["none"])

    def _change_execution(self, mark: str) -> Asked:
        """Also to a status that may not follow the present one: then nothing changes, the mark stays out."""
        return "platform.update_graph_execution_stats", {
            "graph_exec_id": self._execution().id,
            "status": self._rng.choice(STATUSES),
            "stats": {mark: 1},
        }

    def _output(self, mark: str) -> Asked:
        return "platform.upsert_execution_output", {
            "node_exec_id": self._rng.choice(self._execution().nodes),
            "output_name": "text",
            "output_data": {"mark": mark},
        }

    def _input(self, mark: str) -> Asked:
        return "platform.upsert_execution_input", {
            "node_id": TELL,
            "graph_exec_id": self._execution().id,
            "input_name": self._rng.choice(["value", "style"]),
            "input_data": {"mark": mark},
        }

    def _spend(self, mark: str) -> Asked:
        return "platform.spend_credits", {
            "user_id": self._user(),
            "cost": self._amount(),
            "metadata": {"context": {"mark": mark, "text": f"{CANARY}{mark}"}},
        }

    def _earn(self, mark: str) -> Asked:
        return "platform.add_credits", {"user_id": self._user(), "amount": self._rng.randint(1, 500), "reason": mark}

    def _bad(self) -> Call:
        """One that no worker may run; now and then one of which nobody can be told."""
        mark = str(uuid7())
        method, args = self._rng.choice(
            [
                ("accounts.deposit", {"account_id": self._account(), "amount": -5, "note": mark}),
                ("accounts.deposit", {"amount": 5, "note": mark}),
                ("accounts.deposit", {"account_id": self._account(), "amount": f"{CANARY}five", "note": mark}),
                ("accounts.deposit", {"account_id": self._account(), "amount": 5, "note": mark, "twice": CANARY}),
                ("accounts.deposti", {"account_id": self._account(), "amount": 5, "note": mark}),
                ("chaos.linger", {"mark": mark, "ms": 10**6}),
                ("chaos.note", {"mark": mark * 3}),
                ("platform.spend_credits", {"user_id": USERS[0], "cost": 0, "metadata": {"context": {"mark": mark}}}),
            ]
        )
        return Call(mark, method, args, "bad", sent=self._rng.random() < 0.2)


def _marked(method: str, mark: str) -> Asked:
    return method, {"mark": mark}
