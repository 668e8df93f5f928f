"""Executions of graphs and of their nodes: from QUEUED to the end, with every input and output in between."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationError, model_validator

from rpc_client.contract._composed import composed
from rpc_client.contract._method import Service, read, write
from rpc_client.contract._record import Record, Timestamp
from rpc_client.contract.platform.events import (
    GraphExecutionCreated,
    GraphExecutionStarted,
    GraphExecutionStatsUpdated,
    GraphExecutionStatusChanged,
    NodeExecutionInputAdded,
    NodeExecutionOutputAdded,
    NodeExecutionStatsUpdated,
    NodeExecutionStatusChanged,
)
from rpc_client.contract.platform.graphs import PinName, Version
from rpc_client.contract.platform.status import AgentExecutionStatus
from rpc_client.contract.platform.users import Id
from rpc_client.errors import Conflict, NotFoundError, ResultTooLarge

BlockInput = dict[str, Any]
"""Pin name -> value."""
BlockOutputs = dict[str, list[Any]]
"""Pin name -> everything it emitted, in order."""
PageSize = Annotated[int, Field(ge=1, le=1000)]
MAX_NODE_EXECUTIONS = 1000
"""More than these are read page by page."""


class GraphExecutionStats(Record, extra="allow"):
    """What a run took. Executors may add keys of their own; all are kept as given.

    Executors write some of these under names of their own: both names can be read.
    """

    cost: int = 0
    """Cents."""
    duration: float = 0
    """Seconds, as are the other times."""
    duration_cpu_only: float = 0
    node_exec_time: float = 0
    node_exec_time_cpu_only: float = 0
    node_exec_count: int = 0
    node_error_count: int = 0
    error: str | None = None
    activity_status: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _also_by_the_executors_names(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {**{ours: given[theirs] for theirs, ours in _EXECUTOR_NAMES.items() if theirs in given}, **given}


_EXECUTOR_NAMES = {
    "walltime": "duration",
    "cputime": "duration_cpu_only",
    "nodes_walltime": "node_exec_time",
    "nodes_cputime": "node_exec_time_cpu_only",
    "node_count": "node_exec_count",
}


class GraphExecutionMeta(Record):
    """One run of a graph."""

    id: str
    user_id: str
    graph_id: str
    graph_version: int
    preset_id: str | None = None
    status: AgentExecutionStatus
    created_at: Timestamp
    started_at: Timestamp | None = None
    """Null until it runs."""
    ended_at: Timestamp | None = None
    """When it completed, failed or was canceled; null until then, and again after a resume."""
    stats: GraphExecutionStats | None = None


class GraphExecution(GraphExecutionMeta):
    """One run of a graph, with what went in and what came out."""

    inputs: BlockInput
    """By the names of the graph's INPUT blocks; ``payload`` is a webhook's."""
    outputs: BlockOutputs
    """By the names of the graph's OUTPUT blocks."""
    left_out: list[str] = Field(default_factory=list)
    """Fields too large for a write's answer, empty in it; a read has them."""


class NodeExecutionResult(Record):
    """One run of a node, with all that went in and came out."""

    user_id: str
    graph_id: str
    graph_version: int
    graph_exec_id: str
    node_exec_id: str
    node_id: str
    block_id: str
    status: AgentExecutionStatus
    input_data: BlockInput
    output_data: BlockOutputs
    stats: dict[str, Any] | None = None
    add_time: Timestamp
    queue_time: Timestamp | None
    start_time: Timestamp | None
    end_time: Timestamp | None
    left_out: list[str] = Field(default_factory=list)
    """Fields too large for a write's answer, empty in it; a read has them."""


class GraphExecutionWithNodes(GraphExecution):
    """One run of a graph, with the runs of its nodes in the order of their creation."""

    node_executions: list[NodeExecutionResult]


class NodeExecutionUpdate(Record):
    """One member of a batch: the arguments of ``update_node_execution_status``."""

    node_exec_id: Id
    status: AgentExecutionStatus
    execution_data: BlockInput | None = None
    stats: dict[str, Any] | None = None


class BlockErrorStats(Record):
    """How often a block failed with one type of error."""

    block_id: str
    error_type: str
    """What its error began with, up to the first colon or blank; empty where it told none."""
    total_executions: int
    """Of the block, however they ended."""
    failed_executions: int
    """Those that failed with this type of error."""

    @property
    def error_rate(self) -> float:
        """Percent of all executions of the block that failed with this type of error."""
        return 100 * self.failed_executions / self.total_executions if self.total_executions else 0.0


def _has_nodes(execution: Any) -> str:
    given = execution if isinstance(execution, dict) else vars(execution)
    return "with nodes" if "node_executions" in given else "without"


def _readable(stats: dict[str, Any]) -> dict[str, Any]:
    try:
        GraphExecutionStats.model_validate(stats)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{first['loc'][0]}: {first['msg']}") from None
    return stats


def _distinct(updates: list[NodeExecutionUpdate]) -> list[NodeExecutionUpdate]:
    ids = [update.node_exec_id for update in updates]
    if twice := {node_exec_id for node_exec_id in ids if ids.count(node_exec_id) > 1}:
        raise ValueError(f"node_exec_id {min(twice)!r} stands in it twice: one update per execution")
    return updates


AnyGraphExecution = Annotated[
    Annotated[GraphExecution, Tag("without")] | Annotated[GraphExecutionWithNodes, Tag("with nodes")],
    Discriminator(_has_nodes),
]
"""Which of the two it is, `include_node_executions` decides; never the values."""
GraphStats = Annotated[dict[str, Any], AfterValidator(_readable)]
"""Free keys; those that ``GraphExecutionStats`` names have its types."""
Updates = Annotated[list[NodeExecutionUpdate], Field(max_length=200), AfterValidator(_distinct)]
StartingInputs = Annotated[dict[str, BlockInput], Field(max_length=1000)]
NodeCursor = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,17}$")]


class Executions(Service, name="platform"):
    """Runs of graphs, as the executors that run them need them.

    A status that may not follow the present one is refused: nothing changes, nothing is emitted, and the answer is
    the row as it stands. The same status again is no transition either.

    What a write answers is kept with its receipt and so is bounded. An update always succeeds: inputs, outputs and
    stats that are too large together (128 KiB) are left out of its answer, which says so in `left_out`.
    """

    @write(raises=[NotFoundError], emits=[GraphExecutionCreated])
    async def create_graph_execution(
        self,
        graph_id: Id,
        graph_version: Version,
        starting_nodes_input: StartingInputs,
        user_id: Id,
        preset_id: Id | None = None,
    ) -> GraphExecutionWithNodes:
        """Queue a run of a graph: QUEUED itself, with a PENDING execution of every node.

        Args:
            starting_nodes_input: node id -> its inputs, for the nodes that start the run.
            preset_id: kept as given.

        Returns:
            The new execution, its nodes' in the order of the graph.

        Raises:
            NotFoundError: there is no such user, no such version that this user owns or that is listed, or a starting
                node is not one of its nodes; ``details`` name what is missing.

        Emits: GraphExecutionCreated.
        Source: spec 0 §3.1.
        """
        ...

    @read(raises=[ResultTooLarge])
    async def get_graph_execution(
        self, user_id: Id, execution_id: Id, *, include_node_executions: bool = False
    ) -> AnyGraphExecution | None:
        """A run of this user's, with its inputs and outputs, and its nodes' runs if asked for.

        Returns:
            None when there is none, or it is somebody else's.

        Raises:
            ResultTooLarge: more than 1 000 node executions; read them with ``get_node_executions_page``.

        Source: spec 0 §3.1.
        """
        ...

    @read
    async def get_graph_execution_meta(self, user_id: Id, execution_id: Id) -> GraphExecutionMeta | None:
        """A run of this user's, without its inputs and outputs; None when there is none, or it is somebody else's.

        Source: spec 0 §10, phase 2.
        """
        ...

    @read
    async def get_graph_executions(
        self,
        user_id: Id,
        graph_id: Id | None = None,
        *,
        limit: PageSize = 50,
        graph_version: Version | None = None,
        cursor: Annotated[str, Field(max_length=1000)] | None = None,
        preset_id: Id | None = None,
    ) -> tuple[list[GraphExecution], str | None]:
        """A page of this user's runs.

        Args:
            cursor: what the page before gave as next, with the same filters.

        Returns:
            The runs, newest first, and the cursor of the next page, or None when this was the last. Runs that begin
            meanwhile do not move the pages.

        Source: spec 0 §3.1.
        """
        ...

    @write(locks="graph_exec_id", raises=[NotFoundError], emits=[GraphExecutionStarted])
    async def update_graph_execution_start_time(self, graph_exec_id: Id) -> None:
        """Stamp the start, unless there is one already; a run that was waiting becomes RUNNING.

        Raises:
            NotFoundError: there is no such execution.

        Emits: GraphExecutionStarted, unless it had started before.
        Source: spec 0 §3.1; the status, of which it is silent, moves as in the original.
        """
        ...

    @write(locks="graph_exec_id", emits=[GraphExecutionStatusChanged, GraphExecutionStatsUpdated])
    async def update_graph_execution_stats(
        self, graph_exec_id: Id, status: AgentExecutionStatus | None = None, stats: GraphStats | None = None
    ) -> GraphExecution | None:
        """Change status, stats or both, in one step. The end is stamped on COMPLETED, FAILED and CANCELED.

        Args:
            stats: each given key replaces its former value; numbers are not added. Merged also when the status
                stays; not when it is refused.

        Returns:
            The execution as it stands now; None when there is none.

        Emits: GraphExecutionStatusChanged, or GraphExecutionStatsUpdated when only they changed.
        Source: spec 0 §3.1.
        """
        ...

    @read
    async def get_node_execution(self, node_exec_id: Id) -> NodeExecutionResult | None:
        """A run of a node, whoever's it is.

        Source: spec 0 §3.1.
        """
        ...

    @composed
    async def get_node_executions(self, graph_exec_id: str) -> list[NodeExecutionResult]:
        """Every run of a node in this run of a graph, in the order of creation; read page by page.

        Source: spec 0 §3.1.
        """
        found: list[NodeExecutionResult] = []
        cursor: str | None = None
        while True:
            items, cursor = await self.get_node_executions_page(graph_exec_id, cursor=cursor)
            found += items
            if cursor is None:
                return found

    @read
    async def get_node_executions_page(
        self, graph_exec_id: Id, *, limit: PageSize = 500, cursor: NodeCursor | None = None
    ) -> tuple[list[NodeExecutionResult], str | None]:
        """A page of the runs of nodes in this run of a graph.

        Args:
            cursor: what the page before gave as next.

        Returns:
            The runs in the order of creation, and the cursor of the next page, or None when this was the last.
            Empty for an unknown execution.

        Source: spec 0 §3.1, in pages.
        """
        ...

    @read
    async def get_latest_node_execution(self, graph_exec_id: Id, node_id: Id) -> NodeExecutionResult | None:
        """The newest run of this node in this run of a graph that is not PENDING.

        Source: spec 0 §3.1.
        """
        ...

    @write(locks="node_exec_id", raises=[NotFoundError], emits=[NodeExecutionStatusChanged, NodeExecutionStatsUpdated])
    async def update_node_execution_status(
        self,
        node_exec_id: Id,
        status: AgentExecutionStatus,
        execution_data: BlockInput | None = None,
        stats: dict[str, Any] | None = None,
    ) -> NodeExecutionResult:
        """Move a node's run to another status, with the times that go with it.

        Args:
            execution_data: replaces the inputs, if the status moves and there is something in it.
            stats: each given key replaces its former value. Merged also when the status stays; not when it is
                refused.

        Returns:
            The run as it stands now.

        Raises:
            NotFoundError: there is no such node execution.

        Emits: NodeExecutionStatusChanged, or NodeExecutionStatsUpdated when only they changed.
        Source: spec 0 §3.1.
        """
        ...

    @write(raises=[NotFoundError], emits=[NodeExecutionStatusChanged, NodeExecutionStatsUpdated])
    async def update_node_execution_status_batch(self, execution_updates: Updates) -> list[NodeExecutionResult]:
        """Do ``update_node_execution_status`` for many at once: all of them or none. A refused one is no failure.

        Args:
            execution_updates: at most 200, each for another execution; so many answers fit into one.

        Returns:
            The runs as they stand now, in the order of the updates.

        Raises:
            NotFoundError: one of them does not exist; ``details``: ``node_exec_ids``, all those missing.

        Emits: NodeExecutionStatusChanged or NodeExecutionStatsUpdated for each that changed.
        Source: spec 0 §3.1.
        """
        ...

    @write(locks="node_exec_id", raises=[NotFoundError], emits=[NodeExecutionStatsUpdated])
    async def update_node_execution_stats(self, node_exec_id: Id, stats: dict[str, Any]) -> NodeExecutionResult:
        """Merge into a node's stats: each given key replaces its former value. The status stays as it is.

        Returns:
            The run as it stands now.

        Raises:
            NotFoundError: there is no such node execution.

        Emits: NodeExecutionStatsUpdated, if they changed.
        Source: spec 0 §3.1.
        """
        ...

    @write(raises=[NotFoundError, Conflict], emits=[NodeExecutionInputAdded])
    async def upsert_execution_input(
        self,
        node_id: Id,
        graph_exec_id: Id,
        input_name: PinName,
        input_data: Any,
        node_exec_id: Id | None = None,
    ) -> tuple[str, BlockInput]:
        """Fill one input pin of a node's run: of the oldest PENDING one that lacks the pin, else of a new one.

        Args:
            input_data: all inputs of a run together are at most what the answer of a write can hold (256 KiB).
            node_exec_id: fill this run and no other.

        Returns:
            The id of the run, and all its inputs so far.

        Raises:
            NotFoundError: no such graph execution, no such node in its graph, or `node_exec_id` is not a run of it.
            Conflict: `node_exec_id` has this pin already, or is not PENDING any more; ``details``: ``status``.

        Emits: NodeExecutionInputAdded.
        Source: spec 0 §3.1.
        """
        ...

    @write(locks="node_exec_id", raises=[NotFoundError], emits=[NodeExecutionOutputAdded])
    async def upsert_execution_output(self, node_exec_id: Id, output_name: PinName, output_data: Any) -> None:
        """Append what an output pin emitted. A pin may emit many times; all are kept, in order.

        Raises:
            NotFoundError: there is no such node execution.

        Emits: NodeExecutionOutputAdded.
        Source: spec 0 §3.1.
        """
        ...

    @read(slow=True)
    async def get_block_error_stats(self) -> list[BlockErrorStats]:
        """How often blocks failed, by type of error, in everybody's runs of the last seven days.

        Counted are the node executions created in that time, but not those that are still PENDING.

        Returns:
            One entry for every block and type of error, by block and type; none for a block that did not fail.

        Source: spec 0 §3.1.
        """
        ...
