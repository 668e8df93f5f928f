"""What the platform tells of: each event is emitted by the methods that name it."""

from __future__ import annotations

from rpc_client.contract._event import EventData
from rpc_client.contract.platform.notification_type import NotificationType
from rpc_client.contract.platform.status import AgentExecutionStatus


class UserCreated(EventData, aggregate="user"):
    """A user became known. What is known of it, only a call tells."""


class UserIntegrationsUpdated(EventData, aggregate="user"):
    """A user's credentials were replaced. What they are, only a call tells."""

    credentials: int
    """How many there are now."""
    oauth_states: int
    """How many agreements are waited for now."""


class UserMetadataUpdated(EventData, aggregate="user"):
    """A user's metadata changed. What it is, only a call tells."""

    integration_credentials: int
    """How many there are now."""
    integration_oauth_states: int
    """How many agreements are waited for now."""


class UserUnsubscribed(EventData, aggregate="user"):
    """A user wants no notification of any type any more."""


class CreditsSpent(EventData, aggregate="credits"):
    """Credits were spent; the aggregate is the user who had them."""

    cost: int
    """Cents."""
    balance: int
    """Cents left."""


class CreditsAdded(EventData, aggregate="credits"):
    """Credits were added to what the user has."""

    amount: int
    """Cents."""
    reason: str
    balance: int
    """Cents there are now."""


class GraphCreated(EventData, aggregate="graph"):
    """A version of a graph was stored."""

    user_id: str
    """Its owner."""
    version: int


class GraphListed(EventData, aggregate="graph"):
    """A version of a graph became visible to everybody."""

    version: int


class GraphExecutionCreated(EventData, aggregate="graph_execution"):
    """A run of a graph was queued."""

    user_id: str
    """Whose run it is."""
    graph_id: str
    graph_version: int


class GraphExecutionChange(EventData, aggregate="graph_execution"):
    """What the events of a change in a run of a graph say."""

    user_id: str
    """Whose run it is."""
    graph_id: str
    status: AgentExecutionStatus
    """Where it stands now."""
    previous: AgentExecutionStatus
    """Where it stood before."""


class GraphExecutionStarted(GraphExecutionChange):
    """A run of a graph got its start stamped, and became RUNNING if it waited."""


class GraphExecutionStatusChanged(GraphExecutionChange):
    """A run of a graph moved to another status."""


class GraphExecutionStatsUpdated(GraphExecutionChange):
    """The stats of a run of a graph changed; its status did not."""


class NodeExecutionChange(EventData, aggregate="node_execution"):
    """What the events of a change in a node's run say."""

    user_id: str
    """Whose run it is."""
    graph_id: str
    graph_exec_id: str
    node_id: str
    status: AgentExecutionStatus
    """Where it stands now."""
    previous: AgentExecutionStatus
    """Where it stood before."""


class NodeExecutionStatusChanged(NodeExecutionChange):
    """A node's run moved to another status."""


class NodeExecutionStatsUpdated(NodeExecutionChange):
    """The stats of a node's run changed; its status did not."""


class NodeExecutionInputAdded(EventData, aggregate="node_execution"):
    """An input pin of a node's run was filled."""

    graph_exec_id: str
    node_id: str
    input_name: str


class NodeExecutionOutputAdded(EventData, aggregate="node_execution"):
    """An output pin of a node's run emitted something."""

    graph_exec_id: str
    node_id: str
    output_name: str


class ExecutionDataSet(EventData, aggregate="execution_data"):
    """A value was set under a key; the aggregate is the user whose it is."""

    key: str
    node_exec_id: str
    """The run that set it."""


class NotificationAdded(EventData, aggregate="notification_batch"):
    """A notification waits to be sent; the aggregate is the user it is for."""

    type: NotificationType


class NotificationBatchEmptied(EventData, aggregate="notification_batch"):
    """The notifications of a type wait no more; the aggregate is the user they were for."""

    type: NotificationType
