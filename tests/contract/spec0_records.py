# ruff: noqa: F821, RUF012 - the names are the contract's; the defaults are compared, never used
"""The values of spec 0 as data: its enums (§5.1), its errors (§8), and the fields of its models.

The document leaves the fields to its original (§5.2), of which these are the names, types and defaults; where it has no
word on a model, they are ours. A comment says where we differ from the original, and why. A field without a default
here may have one in the contract.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

ENUMS = {
    "AgentExecutionStatus": ["PENDING", "QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELED"],
    "NotificationType": ["SYSTEM", "REVIEW", "EXECUTION", "MARKETING"],
}
ERRORS = ["InsufficientCredits", "NotFoundError", "AuthorizationError"]
ERROR_BODY = {"error", "message", "details"}


class GraphExecutionMeta:
    id: str
    user_id: str
    graph_id: str
    graph_version: int
    preset_id: str | None = None
    status: AgentExecutionStatus
    created_at: datetime  # ours: pages are in its order
    started_at: datetime | None  # null until it runs; the original made up a time
    ended_at: datetime | None
    stats: GraphExecutionStats | None


class GraphExecution(GraphExecutionMeta):
    inputs: dict[str, Any]
    outputs: dict[str, list[Any]]
    left_out: list[str]  # ours: the answers of writes are bounded


class GraphExecutionWithNodes(GraphExecution):
    node_executions: list[NodeExecutionResult]


class GraphExecutionStats:
    cost: int = 0
    duration: float = 0
    duration_cpu_only: float = 0
    node_exec_time: float = 0
    node_exec_time_cpu_only: float = 0
    node_exec_count: int = 0
    node_error_count: int = 0
    error: str | None = None
    activity_status: str | None = None


class NodeExecutionResult:
    user_id: str
    graph_id: str
    graph_version: int
    graph_exec_id: str
    node_exec_id: str
    node_id: str
    block_id: str
    status: AgentExecutionStatus
    input_data: dict[str, Any]
    output_data: dict[str, list[Any]]
    stats: dict[str, Any] | None  # ours: what update_node_execution_stats wrote can be read
    add_time: datetime
    queue_time: datetime | None
    start_time: datetime | None
    end_time: datetime | None
    left_out: list[str]  # ours, as above


class NodeExecutionUpdate:
    node_exec_id: str
    status: AgentExecutionStatus
    execution_data: dict[str, Any] | None = None
    stats: dict[str, Any] | None = None


class BlockErrorStats:
    block_id: str
    error_type: str  # ours: the document groups by it
    total_executions: int
    failed_executions: int


class AgentNodeLink:
    id: str
    source_id: str
    sink_id: str
    source_name: str
    sink_name: str
    is_static: bool = False


class AgentNode:
    id: str
    block_id: str
    input_default: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    input_links: list[AgentNodeLink] = []
    output_links: list[AgentNodeLink] = []
    graph_id: str
    graph_version: int
    webhook_id: str | None = None
    webhook: dict[str, Any] | None = None  # always null: webhooks are not this family's
    block: Block | None  # ours: the document's nodes come "with block data"


class BaseGraph:
    id: str
    version: int = 1
    is_active: bool = True
    name: str
    description: str
    instructions: str | None = None  # of newer exports
    recommended_schedule_cron: str | None = None  # of newer exports
    nodes: list[AgentNode] = []
    links: list[AgentNodeLink] = []
    forked_from_id: str | None = None
    forked_from_version: int | None = None


class GraphModel(BaseGraph):
    user_id: str
    sub_graphs: list[BaseGraph] = []


class GraphMetadata:
    id: str
    version: int
    name: str
    description: str
    is_active: bool
    user_id: str
    created_at: datetime


class UsageTransactionMetadata:
    graph_exec_id: str | None = None
    graph_id: str | None = None
    node_id: str | None = None
    node_exec_id: str | None = None
    block_id: str | None = None
    block: str | None = None
    reason: str | None = None
    input: dict[str, Any] | None = None
    context: dict[str, Any] = {}


class UserMetadata:
    integration_credentials: list[Credentials] = []
    integration_oauth_states: list[OAuthState] = []


class UserMetadataDTO:
    integration_credentials: list[Credentials] | None = None
    integration_oauth_states: list[OAuthState] | None = None


class CredentialsBase:
    id: str
    provider: str
    title: str | None = None


class OAuth2Credentials(CredentialsBase):
    type: Literal["oauth2"] = "oauth2"
    username: str | None = None
    access_token: str
    access_token_expires_at: int | None = None
    refresh_token: str | None = None
    refresh_token_expires_at: int | None = None
    scopes: list[str]
    metadata: dict[str, Any] = {}


class APIKeyCredentials(CredentialsBase):
    type: Literal["api_key"] = "api_key"
    api_key: str
    expires_at: int | None = None


class UserPasswordCredentials(CredentialsBase):
    type: Literal["user_password"] = "user_password"
    username: str
    password: str


class HostScopedCredentials(CredentialsBase):
    type: Literal["host_scoped"] = "host_scoped"
    host: str
    headers: dict[str, str]


class OAuthState:
    token: str
    provider: str
    expires_at: int
    code_verifier: str | None = None
    scopes: list[str]


class UserIntegrations:
    managed_credentials: ManagedCredentials
    credentials: list[Credentials] = []
    oauth_states: list[OAuthState] = []


class ManagedCredentials:
    ayrshare_profile_key: str | None = None


class UserEmailVerification:
    user_id: str
    email: str
    verified: bool


class NotificationPreference:
    user_id: str
    email: str
    preferences: dict[NotificationType, bool]
    daily_limit: int
    emails_sent_today: int
    last_reset_date: datetime


class NotificationEvent:
    type: NotificationType
    user_id: str
    created_at: datetime
    data: dict[str, Any]


class UserNotificationBatchDTO:
    user_id: str
    type: NotificationType
    notifications: list[NotificationEvent]
    created_at: datetime
    updated_at: datetime


RECORDS = [
    kind
    for kind in list(vars().values())
    if isinstance(kind, type) and kind.__module__ == __name__ and kind is not CredentialsBase
]
