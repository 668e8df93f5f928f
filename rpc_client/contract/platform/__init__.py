"""The ``platform`` family: agent graphs, their executions, and the users and credits behind them."""

from __future__ import annotations

from typing import Any

from rpc_client.contract._method import AsyncService, Method, SyncService
from rpc_client.contract.platform.credits import Cents, Credits, UsageTransactionMetadata
from rpc_client.contract.platform.events import (
    CreditsAdded,
    CreditsSpent,
    ExecutionDataSet,
    GraphCreated,
    GraphExecutionChange,
    GraphExecutionCreated,
    GraphExecutionStarted,
    GraphExecutionStatsUpdated,
    GraphExecutionStatusChanged,
    GraphListed,
    NodeExecutionChange,
    NodeExecutionInputAdded,
    NodeExecutionOutputAdded,
    NodeExecutionStatsUpdated,
    NodeExecutionStatusChanged,
    NotificationAdded,
    NotificationBatchEmptied,
    UserCreated,
    UserIntegrationsUpdated,
    UserMetadataUpdated,
    UserUnsubscribed,
)
from rpc_client.contract.platform.execution_data import ExecutionData
from rpc_client.contract.platform.executions import (
    BlockErrorStats,
    BlockInput,
    Executions,
    GraphExecution,
    GraphExecutionMeta,
    GraphExecutionStats,
    GraphExecutionWithNodes,
    NodeExecutionResult,
    NodeExecutionUpdate,
)
from rpc_client.contract.platform.graphs import (
    AgentNode,
    AgentNodeLink,
    BaseGraph,
    Block,
    BlockType,
    GraphMetadata,
    GraphModel,
    Graphs,
)
from rpc_client.contract.platform.integrations import (
    APIKeyCredentials,
    Credentials,
    HostScopedCredentials,
    Integrations,
    ManagedCredentials,
    OAuth2Credentials,
    OAuthState,
    UserIntegrations,
    UserMetadata,
    UserMetadataDTO,
    UserPasswordCredentials,
)
from rpc_client.contract.platform.notification_type import NotificationType
from rpc_client.contract.platform.notifications import NotificationEvent, Notifications, UserNotificationBatchDTO
from rpc_client.contract.platform.status import AgentExecutionStatus
from rpc_client.contract.platform.users import NotificationPreference, User, UserEmailVerification, Users


class Platform(Executions, ExecutionData, Graphs, Credits, Users, Integrations, Notifications, name="platform"):
    """Everything an agent platform asks of its database."""


class AsyncPlatform(Platform, AsyncService):
    """Every method as an ``async def``."""


class SyncPlatform(Platform, SyncService):
    """Every method as a plain ``def``."""


EXECUTOR_METHODS: frozenset[Method[..., Any]] = frozenset(
    {
        Executions.update_graph_execution_start_time,
        Executions.update_graph_execution_stats,
        Executions.get_node_execution,
        Executions.get_node_executions_page,
        Executions.get_latest_node_execution,
        Executions.update_node_execution_status,
        Executions.update_node_execution_status_batch,
        Executions.update_node_execution_stats,
        Executions.upsert_execution_input,
        Executions.upsert_execution_output,
        Executions.get_block_error_stats,
        Graphs.list_graph,
        Graphs.get_node,
        Graphs.get_connected_output_nodes,
        Users.get_active_user_ids_page,
        Notifications.get_all_batches_by_type_page,
    }
)
"""The methods that take no user: who may call them sees and changes everybody's runs. For executors and operators."""

__all__ = [
    "EXECUTOR_METHODS",
    "APIKeyCredentials",
    "AgentExecutionStatus",
    "AgentNode",
    "AgentNodeLink",
    "AsyncPlatform",
    "BaseGraph",
    "Block",
    "BlockErrorStats",
    "BlockInput",
    "BlockType",
    "Cents",
    "Credentials",
    "Credits",
    "CreditsAdded",
    "CreditsSpent",
    "ExecutionData",
    "ExecutionDataSet",
    "Executions",
    "GraphCreated",
    "GraphExecution",
    "GraphExecutionChange",
    "GraphExecutionCreated",
    "GraphExecutionMeta",
    "GraphExecutionStarted",
    "GraphExecutionStats",
    "GraphExecutionStatsUpdated",
    "GraphExecutionStatusChanged",
    "GraphExecutionWithNodes",
    "GraphListed",
    "GraphMetadata",
    "GraphModel",
    "Graphs",
    "HostScopedCredentials",
    "Integrations",
    "ManagedCredentials",
    "NodeExecutionChange",
    "NodeExecutionInputAdded",
    "NodeExecutionOutputAdded",
    "NodeExecutionResult",
    "NodeExecutionStatsUpdated",
    "NodeExecutionStatusChanged",
    "NodeExecutionUpdate",
    "NotificationAdded",
    "NotificationBatchEmptied",
    "NotificationEvent",
    "NotificationPreference",
    "NotificationType",
    "Notifications",
    "OAuth2Credentials",
    "OAuthState",
    "Platform",
    "SyncPlatform",
    "UsageTransactionMetadata",
    "User",
    "UserCreated",
    "UserEmailVerification",
    "UserIntegrations",
    "UserIntegrationsUpdated",
    "UserMetadata",
    "UserMetadataDTO",
    "UserMetadataUpdated",
    "UserNotificationBatchDTO",
    "UserPasswordCredentials",
    "UserUnsubscribed",
    "Users",
]
