"""Key-value data: each method is one statement."""

from __future__ import annotations

from rpc_client.contract.platform import ExecutionData
from worker.registry import Registry

execution_data = Registry(ExecutionData)
execution_data.direct(ExecutionData.get_execution_kv_data, ExecutionData.set_execution_kv_data)
