"""The demo's agent: its graph, read from an export, and what its runs must come to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files

from rpc_client.contract.platform import AgentNode, GraphModel
from worker.demo.blocks import BLOCKS, Pins
from worker.demo.orders import Run

TOPICS = (
    "solid-state batteries",
    "urban beekeeping",
    "reusable rockets",
    "tidal power",
    "open-source chips",
    "night trains",
    "cultured meat",
    "deep-sea cables",
    "small reactors",
    "desert farming",
)
AUDIENCES = ("investors", "engineers", "everybody")


def read_graph(owner: str) -> GraphModel:
    """The exported graph, as its new owner imports it."""
    exported = json.loads((files("worker.demo") / "graph.json").read_text(encoding="utf-8"))
    return GraphModel(**{**exported, "user_id": owner})


@dataclass(frozen=True)
class Agent:
    """A graph, with everything about its runs that can be known without running them."""

    graph: GraphModel

    @property
    def cost(self) -> int:
        """What one run costs, in cents."""
        return sum(BLOCKS[node.block_id].cost for node in self.graph.nodes)

    @cached_property
    def outputs(self) -> int:
        """How many outputs one run yields, over all nodes."""
        return sum(len(pins) for pins in self._all_outputs(TOPICS[0], AUDIENCES[0]).values())

    @cached_property
    def answers(self) -> dict[str, dict[str, str]]:
        """Topic -> audience -> the brief, made here in memory, without Rowcall: what every run must come to."""
        return {topic: {audience: self._answer(topic, audience) for audience in AUDIENCES} for topic in TOPICS}

    def runs(self, executions: int, users: list[str]) -> list[Run]:
        """So many runs, dealt out over topics, audiences and users."""
        return [
            Run(
                user_id=users[n % len(users)],
                starting_inputs=self._starting_inputs(TOPICS[n % len(TOPICS)], AUDIENCES[n % len(AUDIENCES)]),
            )
            for n in range(executions)
        ]

    def _starting_inputs(self, topic: str, audience: str) -> dict[str, Pins]:
        asked = {"topic": topic, "audience": audience}
        names = {node.id: node.input_default.get("name") for node in self.graph.nodes}
        return {node: {"value": asked[name]} for node, name in names.items() if name in asked}

    def _answer(self, topic: str, audience: str) -> str:
        (last,) = [node.id for node in self.graph.nodes if node.input_default.get("name") == "brief"]
        return str(self._all_outputs(topic, audience)[last]["output"])

    def _all_outputs(self, topic: str, audience: str) -> dict[str, Pins]:
        """Node id -> its outputs, each node after those that feed it."""
        starting, found = self._starting_inputs(topic, audience), dict[str, Pins]()

        def visit(node: AgentNode) -> Pins:
            if node.id not in found:
                feeding = [link for link in self.graph.links if link.sink_id == node.id]
                fed = {link.sink_name: visit(nodes[link.source_id])[link.source_name] for link in feeding}
                found[node.id] = BLOCKS[node.block_id].compute(
                    {**node.input_default, **starting.get(node.id, {}), **fed}
                )
            return found[node.id]

        nodes = {node.id: node for node in self.graph.nodes}
        for node in self.graph.nodes:
            visit(node)
        return found
