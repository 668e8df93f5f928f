"""The ``rowcall`` family: what every worker answers of itself, whatever else it serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rpc_client import __version__
from rpc_client.contract import Method
from rpc_client.contract.rowcall import Limits, Rowcall, ServerInfo
from rpc_client.wire import VERSION, encode_result
from worker.calls import Call, Outcome, Result
from worker.database import Database
from worker.registry import Family
from worker.settings import WorkerSettings


@dataclass(frozen=True, slots=True)
class Known:
    """A read whose answer is known when the worker starts: it needs no database, and is answered when that is away."""

    method: Method[..., Any]
    outcome: Outcome
    together: ClassVar[bool] = True

    async def run(self, calls: Sequence[Call], database: Database) -> list[Result]:  # noqa: ARG002 - as any answer
        return [self.outcome] * len(calls)


def server_info(families: Sequence[Family], methods: int, settings: WorkerSettings) -> Known:
    """What this worker says of itself. `methods` are those of the families; its own come on top."""
    info = ServerInfo(
        version=__version__,
        wire_versions=[VERSION],
        families=[*(family.name for family in families), Rowcall.name],
        methods=methods + len(Rowcall.methods()),
        limits=Limits(
            body_bytes=settings.body_bytes,
            calls=settings.message_calls,
            deadline_s=settings.max_deadline_s,
            read_reply_bytes=settings.read_reply_bytes,
            write_reply_bytes=settings.write_reply_bytes,
            retention_days=settings.retention_days,
        ),
    )
    return Known(Rowcall.server_info, Outcome(encode_result(info.model_dump_json())))
