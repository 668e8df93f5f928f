# ruff: noqa: F821 - the names are the contract's, and are looked up there
"""What the document of the platform promises (spec 0 §3 and §10), as it spells it, to be compared with the contract."""

from __future__ import annotations

from datetime import datetime
from typing import Any


class Executions:
    """§3.1."""

    async def get_graph_execution(
        self, user_id: str, execution_id: str, *, include_node_executions: bool = False
    ) -> GraphExecution | GraphExecutionWithNodes | None: ...

    async def get_graph_executions(
        self,
        user_id: str,
        graph_id: str | None = None,
        *,
        limit: int = 50,
        graph_version: int | None = None,
        cursor: str | None = None,
        preset_id: str | None = None,
    ) -> tuple[list[GraphExecution], str | None]: ...

    async def create_graph_execution(
        self,
        graph_id: str,
        graph_version: int,
        starting_nodes_input: dict[str, dict[str, Any]],
        user_id: str,
        preset_id: str | None = None,
    ) -> GraphExecutionWithNodes: ...

    async def update_graph_execution_start_time(self, graph_exec_id: str) -> None: ...

    async def update_graph_execution_stats(
        self, graph_exec_id: str, status: AgentExecutionStatus | None = None, stats: dict[str, Any] | None = None
    ) -> GraphExecution | None: ...

    async def get_node_execution(self, node_exec_id: str) -> NodeExecutionResult | None: ...

    async def get_node_executions(self, graph_exec_id: str) -> list[NodeExecutionResult]: ...

    async def get_latest_node_execution(self, graph_exec_id: str, node_id: str) -> NodeExecutionResult | None: ...

    async def update_node_execution_status(
        self,
        node_exec_id: str,
        status: AgentExecutionStatus,
        execution_data: dict[str, Any] | None = None,
        stats: dict[str, Any] | None = None,
    ) -> NodeExecutionResult: ...

    async def update_node_execution_status_batch(
        self, execution_updates: list[NodeExecutionUpdate]
    ) -> list[NodeExecutionResult]: ...

    async def update_node_execution_stats(self, node_exec_id: str, stats: dict[str, Any]) -> NodeExecutionResult: ...

    async def upsert_execution_input(
        self, node_id: str, graph_exec_id: str, input_name: str, input_data: Any, node_exec_id: str | None = None
    ) -> tuple[str, BlockInput]: ...

    async def upsert_execution_output(self, node_exec_id: str, output_name: str, output_data: Any) -> None: ...

    async def get_execution_kv_data(self, user_id: str, key: str) -> Any | None: ...

    async def set_execution_kv_data(self, user_id: str, node_exec_id: str, key: str, data: Any) -> Any | None: ...

    async def get_block_error_stats(self) -> list[BlockErrorStats]: ...


class Graphs:
    """§3.2."""

    async def get_node(self, node_id: str) -> AgentNode | None: ...

    async def get_graph(
        self,
        graph_id: str,
        version: int | None = None,
        user_id: str | None = None,
        for_export: bool = False,
        include_subgraphs: bool = False,
    ) -> GraphModel | None: ...

    async def get_connected_output_nodes(
        self, node_id: str, output_name: str
    ) -> list[tuple[AgentNode, AgentNodeLink]]: ...

    async def get_graph_metadata(self, graph_id: str, user_id: str) -> GraphMetadata | None: ...


class Credits:
    """§3.3."""

    async def get_credits(self, user_id: str) -> int: ...

    async def spend_credits(self, user_id: str, cost: int, metadata: UsageTransactionMetadata) -> int: ...


class Users:
    """§3.4 and §3.5."""

    async def get_user_metadata(self, user_id: str) -> UserMetadata: ...

    async def update_user_metadata(self, user_id: str, data: UserMetadataDTO) -> UserMetadata: ...

    async def get_user_integrations(self, user_id: str) -> UserIntegrations: ...

    async def update_user_integrations(self, user_id: str, data: UserIntegrations) -> None: ...

    async def get_active_user_ids_in_timerange(self, start_time: datetime, end_time: datetime) -> list[str]: ...

    async def get_user_email_by_id(self, user_id: str) -> str | None: ...

    async def get_user_email_verification(self, user_id: str) -> UserEmailVerification: ...

    async def get_user_notification_preference(self, user_id: str) -> NotificationPreference: ...


class Notifications:
    """§3.6."""

    async def create_or_add_to_user_notification_batch(
        self, user_id: str, notification_type: NotificationType, notification_data: NotificationEvent
    ) -> UserNotificationBatchDTO: ...

    async def empty_user_notification_batch(self, user_id: str, notification_type: NotificationType) -> None: ...

    async def get_all_batches_by_type(self, notification_type: NotificationType) -> list[UserNotificationBatchDTO]: ...

    async def get_user_notification_batch(
        self, user_id: str, notification_type: NotificationType
    ) -> UserNotificationBatchDTO | None: ...

    async def get_user_notification_oldest_message_in_batch(
        self, user_id: str, notification_type: NotificationType
    ) -> NotificationEvent | None: ...


class NamedOnly:
    """In the list of §10, phase 2, without a signature; this one is the original's."""

    async def get_graph_execution_meta(self, user_id: str, execution_id: str) -> GraphExecutionMeta | None: ...


class BesideTheDocument:
    """What the family needs to stand alone, and the pages of its long lists."""

    async def create_user(self, user_id: str, email: str, name: str | None = None) -> User: ...

    async def create_graph(self, graph: GraphModel) -> GraphModel: ...

    async def list_graph(self, graph_id: str, version: int) -> None: ...

    async def add_credits(self, user_id: str, amount: int, reason: str) -> int: ...

    async def create_unsubscribe_token(self, user_id: str) -> str: ...

    async def unsubscribe_by_token(self, token: str) -> NotificationPreference: ...

    async def patch_user_metadata(self, user_id: str, data: UserMetadataDTO) -> None: ...

    async def get_node_executions_page(
        self, graph_exec_id: str, *, limit: int = 500, cursor: str | None = None
    ) -> tuple[list[NodeExecutionResult], str | None]: ...

    async def get_active_user_ids_page(
        self, start_time: datetime, end_time: datetime, *, limit: int = 1000, cursor: str | None = None
    ) -> tuple[list[str], str | None]: ...

    async def get_all_batches_by_type_page(
        self, notification_type: NotificationType, *, limit: int = 500, cursor: str | None = None
    ) -> tuple[list[UserNotificationBatchDTO], str | None]: ...

    async def get_user_notifications_page(
        self, user_id: str, notification_type: NotificationType, *, limit: int = 500, cursor: str | None = None
    ) -> tuple[list[NotificationEvent], str | None]: ...


DOCUMENT = (Executions, Graphs, Credits, Users, Notifications)
EVERYTHING = (*DOCUMENT, NamedOnly, BesideTheDocument)
