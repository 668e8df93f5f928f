"""Agent graphs: blocks wired into nodes and links, in versions that never change."""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import Annotated, Any
from uuid import uuid4

from pydantic import AfterValidator, BeforeValidator, Field

from rpc_client.contract._method import Service, read, write
from rpc_client.contract._record import Record, Timestamp
from rpc_client.contract.platform.events import GraphCreated, GraphListed
from rpc_client.contract.platform.users import Id
from rpc_client.errors import Conflict, NotFoundError

Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
OwnId = Annotated[Id, BeforeValidator(lambda given: given or str(uuid4()))]
"""The id of a thing that is being made; an empty one is replaced by a new UUID."""
Text = Annotated[str, BeforeValidator(lambda given: "" if given is None else given)]
"""Text for people; null reads as none."""
PinName = Annotated[str, Field(max_length=200)]


class BlockType(str, Enum):  # noqa: UP042 - as AgentExecutionStatus
    """What part a block plays in a graph."""

    STANDARD = "STANDARD"
    INPUT = "INPUT"
    OUTPUT = "OUTPUT"
    NOTE = "NOTE"
    WEBHOOK = "WEBHOOK"
    WEBHOOK_MANUAL = "WEBHOOK_MANUAL"
    AGENT = "AGENT"
    AI = "AI"
    AYRSHARE = "AYRSHARE"


class Block(Record):
    """What a node runs; its code is the executors' business."""

    id: Id
    name: str = ""
    type: BlockType = BlockType.STANDARD


class AgentNodeLink(Record):
    """An output pin of one node wired to an input pin of another."""

    id: OwnId = Field(default_factory=lambda: str(uuid4()))
    source_id: Id
    sink_id: Id
    source_name: PinName
    sink_name: PinName
    is_static: bool = False
    """Whether the sink may take the last value again and again."""


Links = Annotated[list[AgentNodeLink], Field(max_length=5000)]


class AgentNode(Record):
    """A block at its place in a graph, with the inputs it starts from."""

    id: OwnId = Field(default_factory=lambda: str(uuid4()))
    block_id: Id
    input_default: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)
    input_links: Links = Field(default_factory=list)
    """Told by the worker; what a file says here is in the graph's `links` too."""
    output_links: Links = Field(default_factory=list)
    graph_id: str = ""
    graph_version: int = 0
    webhook_id: str | None = None
    webhook: dict[str, Any] | None = None
    block: Block | None = None
    """Always there in answers. In a file, where the type of a block the platform does not know comes from."""


class BaseGraph(Record):
    """One version of a graph, without the graphs it runs."""

    id: OwnId = Field(default_factory=lambda: str(uuid4()))
    version: Version = 1
    is_active: bool = True
    name: Text = ""
    description: Text = ""
    instructions: str | None = None
    recommended_schedule_cron: str | None = None
    nodes: Annotated[list[AgentNode], Field(max_length=1000)] = Field(default_factory=list)
    links: Links = Field(default_factory=list)
    forked_from_id: str | None = None
    forked_from_version: Version | None = None


class GraphModel(BaseGraph):
    """One version of a graph, with its owner.

    ``GraphModel(**{**json.load(file), "user_id": owner})`` reads an export of either shape.
    """

    user_id: str = ""
    sub_graphs: Annotated[list[BaseGraph], Field(max_length=100)] = Field(default_factory=list)
    """Every graph that this one runs, however deep."""


class GraphMetadata(Record):
    """What a version of a graph is called and whose it is, without what is in it."""

    id: str
    version: int
    name: str
    description: str
    is_active: bool
    user_id: str
    """Its owner."""
    created_at: Timestamp


def _twice(keys: list[Any]) -> list[Any]:
    return [key for key, times in Counter(keys).items() if times > 1]


def _consistent(graph: GraphModel) -> GraphModel:
    """What is inside a new graph fits together; ValueError says what does not."""
    family = [graph, *graph.sub_graphs]
    if twice := _twice([(part.id, part.version) for part in family]):
        raise ValueError(f"graph {twice[0][0]!r} version {twice[0][1]} stands in it twice")
    for part in family:
        nodes = [node.id for node in part.nodes]
        if twice := _twice(nodes):
            raise ValueError(f"graph {part.id!r}: node id {twice[0]!r} stands in it twice")
        if lost := {end for link in part.links for end in (link.source_id, link.sink_id)}.difference(nodes):
            raise ValueError(f"graph {part.id!r}: a link ends at {min(lost)!r}, which is none of its nodes")
    return graph


NewGraph = Annotated[GraphModel, AfterValidator(_consistent)]


class Graphs(Service, name="platform"):
    """Graphs and what is in them. A version is seen by its owner, and by everybody once it is listed."""

    @write(raises=[NotFoundError, Conflict], emits=[GraphCreated])
    async def create_graph(self, graph: NewGraph) -> GraphModel:
        """Store a graph, and the graphs it brings along, as new versions of their owner.

        A new id keeps the version the file gives it; an id the owner has already goes on after its newest version,
        graph by graph, sub-graphs too. Node ids are kept where they are free in the whole platform, else renewed in
        nodes and links alike; `input_default` is never touched. A graph without `sub_graphs` gets those of the
        owner's graphs that its AGENT nodes name by ``graph_id`` and ``graph_version``.

        Args:
            graph: `user_id` is the owner. Of equal links one is kept. At most 1 000 nodes and 5 000 links per graph,
                and all of it at most what the answer of a write can hold (256 KiB).

        Returns:
            The graph as stored, as ``get_graph(…, include_subgraphs=True)`` gives it.

        Raises:
            NotFoundError: there is no such user.
            Conflict: an id belongs to somebody else; ``details``: ``graph_id``.

        Emits: GraphCreated, once for every graph stored.
        Source: needed to stand alone; spec 0 only reads graphs.
        """
        ...

    @write(raises=[NotFoundError], emits=[GraphListed])
    async def list_graph(self, graph_id: Id, version: Version) -> None:
        """Let everybody see and run this version, and the graphs it runs. Nothing happens to what is listed already.

        Raises:
            NotFoundError: there is no such version.

        Emits: GraphListed, once for every version that became visible.
        Source: the store's approval, of which spec 0 knows only the effect.
        """
        ...

    @read
    async def get_graph(
        self,
        graph_id: Id,
        version: Version | None = None,
        user_id: str | None = None,
        for_export: bool = False,  # noqa: FBT001, FBT002 - the document's signature
        include_subgraphs: bool = False,  # noqa: FBT001, FBT002
    ) -> GraphModel | None:
        """A version of a graph, or the newest this user may see.

        Args:
            version: None for the newest: of all for the owner, of the listed ones for everybody else.
            user_id: None sees listed graphs only.
            for_export: without the owner, and without every input default whose name speaks of a secret (credentials,
                api_key, password, token, secret), however deep, or that is the value of an INPUT block. Brings the
                sub-graphs along.
            include_subgraphs: fill `sub_graphs`.

        Returns:
            None when there is none, or none this user may see. Nodes and links in the order of the file.

        Source: spec 0 §3.2.
        """
        ...

    @read
    async def get_graph_metadata(self, graph_id: Id, user_id: Id) -> GraphMetadata | None:
        """What the newest version is that this user may see: the owner the newest of all, others the newest listed.

        Returns:
            None when there is none, or none this user may see.

        Source: spec 0 §3.2.
        """
        ...

    @read
    async def get_node(self, node_id: Id) -> AgentNode | None:
        """A node with its block and its links, whoever owns the graph.

        Source: spec 0 §3.2.
        """
        ...

    @read
    async def get_connected_output_nodes(
        self, node_id: Id, output_name: PinName
    ) -> list[tuple[AgentNode, AgentNodeLink]]:
        """The nodes that this output feeds, each with the link that leads there.

        Returns:
            In the order of the graph's links; empty for an unknown node. A node stands there once for every link.

        Source: spec 0 §3.2.
        """
        ...
